#include <algorithm>
#include <set>

#include "base/str.h"
#include "runtime/deployment/fields.h"
#include "runtime/deployment/intrinsics.h"
#include "runtime/deployment/template.h"

namespace thaw::deployment {
namespace {

constexpr std::size_t kFunctionsMax = 200;
constexpr std::size_t kResourceNameMax = 80;  // a queue's; a bucket's are shorter
constexpr std::string_view kFunctionType = "AWS::Serverless::Function";
// What of a function's properties is played; the others are named once, in a note.
constexpr std::string_view kPlayed[] = {"FunctionName",
                                        "CodeUri",
                                        "Handler",
                                        "Runtime",
                                        "MemorySize",
                                        "Timeout",
                                        "Environment",
                                        "ReservedConcurrentExecutions",
                                        "ProvisionedConcurrencyConfig",
                                        "FunctionUrlConfig",
                                        "Events",
                                        "EventInvokeConfig",
                                        "DeadLetterQueue"};

class SamReader {
 public:
  SamReader(std::string_view name, const Node& root, const Intrinsics& intrinsics)
      : name_(name), root_(root), intrinsics_(intrinsics) {}

  Result<Template> read() {
    const Node* resources = root_.find("Resources");
    if (resources == nullptr || !resources->is_map()) {
      return error_at(name_, root_, "Resources: want a map of resources");
    }
    const Node* globals = root_.find("Globals");
    const Node* shared = globals == nullptr ? nullptr : globals->find("Function");
    std::set<std::string> others;
    for (const auto& [id, resource] : resources->members) {
      const Node* type = resource.find("Type");
      if (type == nullptr || !type->is_text()) {
        return error_at(name_, resource, cat("resource '", id.substr(0, 100), "': want a Type"));
      }
      if (type->text != kFunctionType) {
        others.insert(type->text.substr(0, 100));
        continue;
      }
      if (out_.functions.size() == kFunctionsMax) {
        return error_at(name_, resource, cat("more than ", kFunctionsMax, " functions"));
      }
      THAW_TRY(properties, properties_of(resource, shared));
      THAW_TRY_DO(read_function(id, properties));
    }
    if (out_.functions.empty()) {
      return error_at(name_, *resources, cat("no resource is an ", kFunctionType));
    }
    for (const std::string& type : others) note(cat("resources of type ", type, " are not played"));
    for (const std::string& property : ignored_) {
      note(cat("the property ", property, " of functions is not played"));
    }
    return std::move(out_);
  }

 private:
  void note(std::string_view what) {
    out_.notes.push_back(cat("template '", name_, "': ", one_line(what)));
  }

  // The resource's own properties over the shared ones, functions resolved in what is played.
  Result<Node> properties_of(const Node& resource, const Node* shared) {
    Node all;
    all.kind = Node::Kind::kMap;
    all.place = resource.place;
    for (const Node* from : {shared, resource.find("Properties")}) {
      if (from == nullptr) continue;
      for (const auto& [key, value] : from->members) {
        if (std::find(std::begin(kPlayed), std::end(kPlayed), key) == std::end(kPlayed)) {
          ignored_.insert(key.substr(0, 100));
          continue;
        }
        THAW_TRY(resolved, intrinsics_.resolve(value));
        merge(all, key, std::move(resolved));
      }
    }
    return all;
  }

  // Maps are united, as SAM does with Environment; else the later one counts.
  static void merge(Node& into, const std::string& key, Node value) {
    const auto at = std::find_if(into.members.begin(), into.members.end(),
                                 [&](const auto& member) { return member.name == key; });
    if (at == into.members.end()) {
      into.members.push_back({key, std::move(value)});
    } else if (at->value.is_map() && value.is_map()) {
      for (auto& [name, member] : value.members) merge(at->value, name, std::move(member));
    } else {
      at->value = std::move(value);
    }
  }

  Result<Done> read_function(const std::string& id, const Node& properties) {
    const Fields fields(name_, &properties);
    TemplateFunction function;
    emulator::FunctionOptions& options = function.options;
    THAW_TRY(own_name, fields.text("FunctionName"));
    options.name = own_name.value_or(id);
    THAW_TRY(code, fields.text("CodeUri"));
    function.code = code.value_or(".");
    THAW_TRY(handler, fields.text("Handler"));
    if (!handler) return fields.error(cat("function '", id, "': it has no Handler"));
    function.handler = *handler;
    THAW_TRY(memory, fields.number("MemorySize", 128, 10240));
    options.memory_mb = memory.value_or(128);
    THAW_TRY(timeout, fields.number("Timeout", 1, 900));
    options.timeout = std::chrono::seconds(timeout.value_or(3));
    THAW_TRY(environment, fields.map("Environment"));
    THAW_TRY(variables, environment.map("Variables"));
    THAW_TRY_DO(read_variables(variables, options));
    THAW_TRY(reserved, fields.number("ReservedConcurrentExecutions", 0, 1000));
    options.reserved_concurrency = reserved;
    THAW_TRY(provisioned, fields.map("ProvisionedConcurrencyConfig"));
    THAW_TRY(kept, provisioned.number("ProvisionedConcurrentExecutions", 1, 1000));
    options.pool.provisioned = kept.value_or(0);
    THAW_TRY(url, fields.map("FunctionUrlConfig"));
    THAW_TRY_DO(read_url(url, options));
    THAW_TRY(asynchronous, fields.map("EventInvokeConfig"));
    THAW_TRY_DO(read_asynchronous(asynchronous, options.asynchronous));
    THAW_TRY(dead, fields.map("DeadLetterQueue"));
    THAW_TRY(target, dead.text("TargetArn"));
    options.dead_letter = target.value_or("");
    THAW_TRY(events, fields.map("Events"));
    if (events.present()) {
      for (const auto& [name, event] : events.node()->members) {
        THAW_TRY_DO(read_event(options.name, name, event));
      }
    }
    out_.functions.push_back(std::move(function));
    return Done{};
  }

  Result<Done> read_variables(const Fields& variables, emulator::FunctionOptions& options) {
    if (!variables.present()) return Done{};
    std::size_t bytes = 0;
    for (const auto& [key, value] : variables.node()->members) {
      if (!value.is_text() || key.empty() || key.find('=') != key.npos) {
        return error_at(name_, value, cat("variable '", key.substr(0, 100), "': want a text"));
      }
      bytes += key.size() + value.text.size();
      options.environment.push_back(cat(key, "=", value.text));
    }
    if (bytes > 4096) return variables.error("the variables have more than 4 KB, Lambda's limit");
    return Done{};
  }

  Result<Done> read_url(const Fields& url, emulator::FunctionOptions& options) {
    THAW_TRY(mode, url.text("InvokeMode"));
    if (mode && *mode != "BUFFERED" && *mode != "RESPONSE_STREAM") {
      return url.error("InvokeMode: want BUFFERED or RESPONSE_STREAM");
    }
    options.url_streams = mode == "RESPONSE_STREAM";
    THAW_TRY(type, url.text("AuthType"));
    if (type == "AWS_IAM") note("AuthType AWS_IAM: signatures are not checked");
    THAW_TRY(cors, url.map("Cors"));
    if (!cors.present()) return Done{};
    emulator::Cors out;
    THAW_TRY(origins, cors.texts("AllowOrigins"));
    THAW_TRY(methods, cors.texts("AllowMethods"));
    THAW_TRY(headers, cors.texts("AllowHeaders"));
    THAW_TRY(exposed, cors.texts("ExposeHeaders"));
    THAW_TRY(credentials, cors.flag("AllowCredentials"));
    THAW_TRY(max_age, cors.number("MaxAge", 0, 86400));
    options.cors =
        emulator::Cors{origins, methods, headers, exposed, credentials.value_or(false), max_age};
    return Done{};
  }

  Result<Done> read_asynchronous(const Fields& fields, emulator::EventInvokeConfig& config) {
    THAW_TRY(retries, fields.number("MaximumRetryAttempts", 0, 2));
    config.retries_max = retries;
    THAW_TRY(age, fields.number("MaximumEventAgeInSeconds", 60, 21600));
    if (age) config.age_max = std::chrono::seconds(*age);
    THAW_TRY(destinations, fields.map("DestinationConfig"));
    for (const auto& [key, to] :
         {std::pair{"OnSuccess", &config.on_success}, std::pair{"OnFailure", &config.on_failure}}) {
      THAW_TRY(one, destinations.map(key));
      THAW_TRY(destination, one.text("Destination"));
      if (one.present() && !destination) {
        return one.error(cat(key, ": name a Destination; none is made here"));
      }
      *to = destination.value_or("");
    }
    return Done{};
  }

  // The name of a queue or a bucket is also that of a file or a folder here.
  Result<Done> check_name(std::string_view key, std::string_view name, const Node& at) {
    constexpr std::string_view kLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (name.empty() || name.size() > kResourceNameMax || name.starts_with('.') ||
        name.find_first_not_of(kLetters) != name.npos) {
      return error_at(name_, at, cat(key, " '", name.substr(0, 100),
                                     "': want a name of 1 to 80 letters, digits, '-', '_', '.'"));
    }
    return Done{};
  }

  emulator::Api& api(emulator::Api::Kind kind, const std::string& name, const std::string& stage) {
    for (emulator::Api& each : out_.apis) {
      if (each.kind == kind && each.name == name) return each;
    }
    out_.apis.push_back({kind, name, stage, {}});
    return out_.apis.back();
  }

  Result<Done> read_event(const std::string& function, const std::string& event_name,
                          const Node& event) {
    const Fields fields(name_, &event);
    THAW_TRY(type, fields.text("Type"));
    if (!event.is_map() || !type) {
      return error_at(name_, event, cat("event '", event_name.substr(0, 100), "': want a Type"));
    }
    THAW_TRY(properties, fields.map("Properties"));
    if (*type == "Api" || *type == "HttpApi") {
      const bool rest = *type == "Api";
      THAW_TRY(path, properties.text("Path"));
      THAW_TRY(method, properties.text("Method"));
      THAW_TRY(of, properties.text(rest ? "RestApiId" : "ApiId"));
      if (rest && (!path || !method)) return fields.error("an Api event has a Path and a Method");
      std::string verb = method.value_or("ANY");
      for (char& c : verb) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
      const auto kind = rest ? emulator::Api::Kind::kRest : emulator::Api::Kind::kHttp;
      const std::string fallback = rest ? "ServerlessRestApi" : "ServerlessHttpApi";
      api(kind, of.value_or(fallback), rest ? "Prod" : "$default")
          .routes.push_back({verb, path.value_or("$default"), function});
      return Done{};
    }
    Source source;
    source.function = function;
    source.name = event_name;
    if (*type == "Schedule" || *type == "ScheduleV2") {
      source.kind = Source::Kind::kSchedule;
      THAW_TRY(expression,
               properties.text(*type == "Schedule" ? "Schedule" : "ScheduleExpression"));
      if (!expression) return fields.error("a schedule has an expression");
      THAW_TRY(enabled, properties.flag("Enabled"));
      if (enabled == false) return Done{};
      THAW_TRY(input, properties.text("Input"));
      source.expression = *expression;
      source.input = input.value_or("");
    } else if (*type == "SQS") {
      source.kind = Source::Kind::kQueue;
      THAW_TRY(queue, properties.text("Queue"));
      if (!queue) return fields.error("an SQS event has a Queue");
      source.name = queue->substr(queue->rfind(':') + 1);
      THAW_TRY_DO(check_name("Queue", source.name, event));
      THAW_TRY(size, properties.number("BatchSize", 1, 10'000));
      source.batch_size = size.value_or(10);
      THAW_TRY(window, properties.number("MaximumBatchingWindowInSeconds", 0, 300));
      source.window_seconds = window.value_or(0);
      THAW_TRY(types, properties.texts("FunctionResponseTypes"));
      source.partial_failures = !types.empty();
    } else if (*type == "S3") {
      source.kind = Source::Kind::kBucket;
      THAW_TRY(bucket, properties.text("Bucket"));
      if (!bucket) return fields.error("an S3 event has a Bucket");
      source.name = *bucket;
      THAW_TRY_DO(check_name("Bucket", source.name, event));
    } else {
      note(cat("events of type ", type->substr(0, 100), " are not played"));
      return Done{};
    }
    out_.sources.push_back(std::move(source));
    return Done{};
  }

  std::string name_;
  const Node& root_;
  const Intrinsics& intrinsics_;
  Template out_;
  std::set<std::string> ignored_;
};

}  // namespace

Result<Template> read_sam(std::string_view name, const Node& root, const TemplateOptions& options) {
  THAW_TRY(intrinsics, Intrinsics::create(name, root, options.parameters, options.region));
  return SamReader(name, root, intrinsics).read();
}

}  // namespace thaw::deployment
