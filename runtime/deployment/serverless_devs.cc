#include <set>

#include "base/str.h"
#include "runtime/deployment/fields.h"
#include "runtime/deployment/template.h"

namespace thaw::deployment {
namespace {

// "${...}" is Serverless Devs' own language, of files, secrets and other resources.
Result<Done> refuse_variables(std::string_view name, const Node& node) {
  if (node.is_text() && node.text.find("${") != node.text.npos) {
    return error_at(name, node, "'${...}' is not known here; write what it stands for");
  }
  for (const Node& item : node.items) THAW_TRY_DO(refuse_variables(name, item));
  for (const auto& [key, member] : node.members) THAW_TRY_DO(refuse_variables(name, member));
  return Done{};
}

Result<Done> read_triggers(std::string_view name, const Node& props, TemplateFunction& function,
                           Template& out) {
  const Node* triggers = props.find("triggers");
  if (triggers == nullptr) return Done{};
  for (const Node& trigger : triggers->items) {
    const Fields fields(name, &trigger);
    THAW_TRY(type, fields.text("triggerType"));
    THAW_TRY(own_name, fields.text("triggerName"));
    THAW_TRY(config, fields.map("triggerConfig"));
    if (type == "http") continue;  // every function has that front
    if (type != "timer") {
      out.notes.push_back(cat("template '", name, "': triggers of type ",
                              one_line(type.value_or("?").substr(0, 100)), " are not played"));
      continue;
    }
    THAW_TRY(enabled, config.flag("enable"));
    if (enabled == false) continue;
    THAW_TRY(expression, config.text("cronExpression"));
    THAW_TRY(payload, config.text("payload"));
    if (!expression) return fields.error("a timer has a cronExpression");
    Source source;
    source.kind = Source::Kind::kSchedule;
    source.function = function.options.name;
    source.name = own_name.value_or("timer");
    source.expression = *expression;
    source.input = payload.value_or("");
    out.sources.push_back(std::move(source));
  }
  return Done{};
}

Result<Done> read_function(std::string_view name, std::string_view id, const Node& props,
                           Template& out) {
  const Fields fields(name, &props);
  TemplateFunction function;
  emulator::FunctionOptions& options = function.options;
  THAW_TRY(own_name, fields.text("functionName"));
  options.name = own_name.value_or(std::string(id));
  THAW_TRY(code, fields.text("code"));
  function.code = code.value_or(".");
  THAW_TRY(handler, fields.text("handler"));
  function.handler = handler.value_or("");
  THAW_TRY(memory, fields.number("memorySize", 128, 65536));
  options.memory_mb = memory.value_or(512);
  THAW_TRY(timeout, fields.number("timeout", 1, 86400));
  options.timeout = std::chrono::seconds(timeout.value_or(3));
  THAW_TRY(variables, fields.map("environmentVariables"));
  if (variables.present()) {
    for (const auto& [key, value] : variables.node()->members) {
      if (!value.is_text()) return error_at(name, value, "want a text");
      // The snapshot's place in the package; here the emulator says where it lies.
      if (key == "THAW_SNAPSHOT") {
        function.handler = value.text.substr(value.text.rfind('/') + 1);
        continue;
      }
      options.environment.push_back(cat(key, "=", value.text));
    }
  }
  if (function.handler.empty()) return fields.error("it has no handler");
  THAW_TRY(parallel, fields.number("instanceConcurrency", 1, 200));
  options.pool.invocations_per_instance = parallel.value_or(1);
  THAW_TRY(concurrency, fields.map("concurrencyConfig"));
  THAW_TRY(reserved, concurrency.number("reservedConcurrency", 0, 1000));
  options.reserved_concurrency = reserved;
  THAW_TRY(scaling, fields.map("scalingConfig"));
  THAW_TRY(kept, scaling.number("minInstances", 0, 1000));
  THAW_TRY(provision, fields.map("provisionConfig"));
  THAW_TRY(target, provision.number("defaultTarget", 0, 1000));
  options.pool.provisioned = kept.value_or(target.value_or(0));
  THAW_TRY(asynchronous, fields.map("asyncInvokeConfig"));
  THAW_TRY(retries, asynchronous.number("maxAsyncRetryAttempts", 0, 8));
  if (retries) options.asynchronous.retries_max = std::min<std::uint32_t>(*retries, 2);
  THAW_TRY_DO(read_triggers(name, props, function, out));
  out.functions.push_back(std::move(function));
  return Done{};
}

}  // namespace

Result<Template> read_serverless_devs(std::string_view name, const Node& root,
                                      const TemplateOptions&) {
  const Node* resources = root.find("resources");
  if (resources == nullptr || !resources->is_map()) {
    return error_at(name, root, "resources: want a map of resources");
  }
  Template out;
  for (const auto& [id, resource] : resources->members) {
    const Node* component = resource.find("component");
    const Node* props = resource.find("props");
    if (component == nullptr || component->text != "fc3") {
      out.notes.push_back(cat("template '", name, "': resource '", one_line(id.substr(0, 100)),
                              "' is not of component fc3 and not played"));
      continue;
    }
    if (props == nullptr || !props->is_map()) {
      return error_at(name, resource, cat("resource '", id.substr(0, 100), "': want props"));
    }
    THAW_TRY_DO(refuse_variables(name, *props));
    THAW_TRY_DO(read_function(name, id, *props, out));
  }
  if (out.functions.empty()) return error_at(name, *resources, "no resource is of component fc3");
  return out;
}

}  // namespace thaw::deployment
