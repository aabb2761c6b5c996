#include "runtime/emulator/control_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/str.h"
#include "runtime/emulator/aws_error.h"
#include "runtime/emulator/destination.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/function_reference.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kBodyBytesMax = 64 << 10;
constexpr std::uint32_t kUnreservedConcurrencyMin = 100;  // what AWS keeps for the others
constexpr std::uint32_t kMaxItemsMax = 10'000;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void send(Call& call, int status, const Json& document) {
  http::Fields headers{{"x-amzn-RequestId", call.request_id}};
  if (status == 204) return (void)call.writer.send(status, headers, "");
  headers.add("Content-Type", "application/json");
  (void)call.writer.send(status, headers, dump(document));
}

// "2026-01-31T12:00:00.123+0000", which is how this API writes a time, and no other does.
std::string modified_text(Clock::Wall time) {
  std::string text = iso_time(time);
  text.replace(text.size() - 1, 1, "+0000");
  return text;
}

double seconds_of(Clock::Wall time) {
  return static_cast<double>(
             std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch())
                 .count()) /
         1000;
}

// The function's ARN with a qualifier, "$LATEST" where there is none.
std::string qualified_arn(const Options& options, const FunctionOptions& function,
                          std::string_view qualifier) {
  return cat(function_arn(options, function.name), ":", qualifier.empty() ? "$LATEST" : qualifier);
}

// A number of the query, or nothing where there is none; nothing in nothing where it is no number.
std::optional<std::optional<std::uint64_t>> query_number(std::string_view query,
                                                         std::string_view name) {
  const auto text = query_value(query, name);
  if (!text) return std::optional<std::uint64_t>{};
  if (text->empty() || text->size() > 9 || text->find_first_not_of("0123456789") != text->npos) {
    return std::nullopt;
  }
  return std::optional<std::uint64_t>{std::stoull(*text)};
}

Json body_of(const EventInvokeConfig& config, std::string_view arn) {
  Json document;
  document["LastModified"] = seconds_of(config.modified);
  document["FunctionArn"] = arn;
  if (config.retries_max) document["MaximumRetryAttempts"] = *config.retries_max;
  if (config.age_max) document["MaximumEventAgeInSeconds"] = config.age_max->count();
  const auto destination = [](const std::string& text) {
    return text.empty() ? Json::object() : Json{{"Destination", text}};
  };
  document["DestinationConfig"] = {{"OnSuccess", destination(config.on_success)},
                                   {"OnFailure", destination(config.on_failure)}};
  return document;
}

// Fills `config` with what the document sets. Errors: kInvalid.
Result<Done> read_config(const Json& document, EventInvokeConfig& config) {
  const auto number = [&](const char* name) -> Result<std::optional<std::uint32_t>> {
    const auto at = document.find(name);
    if (at == document.end() || at->is_null()) return std::optional<std::uint32_t>{};
    if (!at->is_number_unsigned() || at->get<std::uint64_t>() > 1'000'000) {
      return fail(Code::kInvalid, cat(name, ": want a whole number"));
    }
    return std::optional<std::uint32_t>{at->get<std::uint32_t>()};
  };
  THAW_TRY(retries, number("MaximumRetryAttempts"));
  THAW_TRY(age, number("MaximumEventAgeInSeconds"));
  if (retries) config.retries_max = retries;
  if (age) config.age_max = std::chrono::seconds(*age);
  const auto all = document.find("DestinationConfig");
  if (all == document.end() || all->is_null()) return check(config);
  for (const auto& [name, to] :
       {std::pair{"OnSuccess", &config.on_success}, std::pair{"OnFailure", &config.on_failure}}) {
    if (!all->is_object()) return fail(Code::kInvalid, "DestinationConfig: want an object");
    const auto one = all->find(name);
    if (one == all->end() || one->is_null()) continue;
    const auto text = one->is_object() ? one->find("Destination") : one->end();
    if (!one->is_object()) return fail(Code::kInvalid, cat(name, ": want an object"));
    if (text != one->end() && !text->is_string()) {
      return fail(Code::kInvalid, cat(name, ": Destination: want a string"));
    }
    *to = text == one->end() ? "" : text->get<std::string>();
  }
  return check(config);
}

Json configuration_of(const Options& options, const FunctionOptions& function, Files& files,
                      Clock::Wall started, std::string_view qualifier) {
  const auto code = files.stat(function.snapshot);
  Json variables = Json::object();
  for (const std::string& variable : function.environment) {
    const std::size_t equals = variable.find('=');
    if (equals != variable.npos) {
      variables[variable.substr(0, equals)] = variable.substr(equals + 1);
    }
  }
  const std::string arn = function_arn(options, function.name);
  Json document;
  document["FunctionName"] = function.name;
  document["FunctionArn"] = qualifier.empty() ? arn : cat(arn, ":", qualifier);
  document["Runtime"] = "provided.al2023";
  document["Role"] = "arn:aws:iam::123456789012:role/thaw-emulator";
  document["Handler"] = function.snapshot.substr(function.snapshot.rfind('/') + 1);
  document["CodeSize"] = code ? code->bytes : 0;
  document["Description"] = "";
  document["Timeout"] = std::chrono::ceil<std::chrono::seconds>(function.timeout).count();
  document["MemorySize"] = function.memory_mb;
  document["LastModified"] = modified_text(started);
  document["Version"] = "$LATEST";
  if (!variables.empty()) document["Environment"] = {{"Variables", variables}};
  if (!function.dead_letter.empty()) {
    document["DeadLetterConfig"] = {{"TargetArn", function.dead_letter}};
  }
  document["TracingConfig"] = {{"Mode", "PassThrough"}};
  document["State"] = "Active";
  document["LastUpdateStatus"] = "Successful";
  document["PackageType"] = "Zip";
#if defined(__aarch64__)
  document["Architectures"] = {"arm64"};
#else
  document["Architectures"] = {"x86_64"};
#endif
  document["EphemeralStorage"] = {{"Size", 512}};
  return document;
}

// The request's JSON object; nothing where it is none, and the caller has heard that.
std::optional<Json> read_object(Call& call) {
  call.request.limit_body(kBodyBytesMax);
  const auto body = call.request.read_all();
  if (!body) {
    const bool large = body.error().code == Code::kLimit;
    send_error(call.writer, large ? kTooLarge : kBadContent, call.request_id, body.error().message);
    return std::nullopt;
  }
  // Hostile nesting ends at a depth that no such document has.
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= 8; };
  Json json = Json::parse(*body, shallow, false);
  if (json.is_object()) return json;
  send_error(call.writer, kBadContent, call.request_id,
             "Could not parse request body into json: want an object");
  return std::nullopt;
}

}  // namespace

ControlApi::ControlApi(Fleet& fleet, AsyncSettings& settings, const Options& options, Clock& clock,
                       Files& files)
    : fleet_(fleet),
      settings_(settings),
      options_(options),
      clock_(clock),
      files_(files),
      started_(clock.wall_now()) {}

const ControlApi::Operation ControlApi::kOperations[] = {
    {"GET", "/2015-03-31/functions/", "/configuration", &ControlApi::get_configuration},
    {"GET", "/2019-09-30/functions/", "/concurrency", &ControlApi::get_concurrency},
    {"PUT", "/2017-10-31/functions/", "/concurrency", &ControlApi::put_concurrency},
    {"DELETE", "/2017-10-31/functions/", "/concurrency", &ControlApi::delete_concurrency},
    {"GET", "/2019-09-25/functions/", "/event-invoke-config/list", &ControlApi::list_event_configs},
    {"GET", "/2019-09-25/functions/", "/event-invoke-config", &ControlApi::get_event_config},
    {"PUT", "/2019-09-25/functions/", "/event-invoke-config", &ControlApi::put_event_config},
    {"POST", "/2019-09-25/functions/", "/event-invoke-config", &ControlApi::update_event_config},
    {"DELETE", "/2019-09-25/functions/", "/event-invoke-config", &ControlApi::delete_event_config},
    {"GET", "/2021-10-31/functions/", "/url", &ControlApi::get_url},
    {"GET", "/2015-03-31/functions/", "", &ControlApi::get_function},
};

bool ControlApi::serve(Call& call) {
  const std::string_view method = call.request.method();
  const std::string_view path = call.request.path();
  if (method == "GET" && (path == "/2015-03-31/functions" || path == "/2015-03-31/functions/")) {
    list_functions(call);
    return true;
  }
  if (method == "GET" && path.starts_with("/2016-08-19/account-settings")) {
    get_account(call);
    return true;
  }
  for (const Operation& operation : kOperations) {
    const auto encoded = between(path, operation.before, operation.after);
    if (method != operation.method || !encoded || encoded->find('/') != encoded->npos) continue;
    const std::string qualifier = query_value(call.request.query(), "Qualifier").value_or("");
    const auto reference = parse_function_reference(percent_decode(*encoded, false), qualifier);
    if (!reference) {
      send_error(call.writer, kBadReference, call.request_id, reference.error().message);
      return true;
    }
    const FunctionOptions* function = fleet_.find(reference->name);
    if (function == nullptr) {
      send_error(call.writer, kNotFound, call.request_id,
                 cat("Function not found: ", function_arn(options_, reference->name)));
      return true;
    }
    (this->*operation.serve)(call, *function, reference->qualifier);
    return true;
  }
  return false;
}

void ControlApi::get_configuration(Call& call, const FunctionOptions& function,
                                   std::string_view qualifier) {
  send(call, 200, configuration_of(options_, function, files_, started_, qualifier));
}

void ControlApi::get_function(Call& call, const FunctionOptions& function,
                              std::string_view qualifier) {
  Json document;
  document["Configuration"] = configuration_of(options_, function, files_, started_, qualifier);
  document["Code"] = {{"RepositoryType", "S3"}, {"Location", cat("file://", function.snapshot)}};
  if (const auto reserved = fleet_.reserved_concurrency(function.name)) {
    document["Concurrency"] = {{"ReservedConcurrentExecutions", *reserved}};
  }
  send(call, 200, document);
}

void ControlApi::list_functions(Call& call) {
  const auto items = query_number(call.request.query(), "MaxItems");
  if (!items || (*items && (**items == 0 || **items > kMaxItemsMax))) {
    return send_error(call.writer, kBadParameter, call.request_id,
                      cat("1 validation error detected: Value at 'maxItems' failed to satisfy "
                          "constraint: Member must have value from 1 to ",
                          kMaxItemsMax));
  }
  const std::size_t count = static_cast<std::size_t>(
      std::min<std::uint64_t>(items->value_or(kPageFunctionsMax), kPageFunctionsMax));
  // The marker is the last name of the page before, so that pages hold whatever comes and goes.
  const std::string marker = query_value(call.request.query(), "Marker").value_or("");
  Json document{{"Functions", Json::array()}};
  auto at = marker.empty() ? fleet_.functions().begin() : fleet_.functions().upper_bound(marker);
  std::string last;
  for (; at != fleet_.functions().end() && document["Functions"].size() < count; ++at) {
    document["Functions"].push_back(configuration_of(options_, at->second, files_, started_, ""));
    last = at->first;
  }
  if (at != fleet_.functions().end()) document["NextMarker"] = last;
  send(call, 200, document);
}

void ControlApi::get_account(Call& call) {
  std::uint64_t code_bytes = 0;
  std::uint32_t reserved = 0;
  for (const auto& [name, function] : fleet_.functions()) {
    if (const auto file = files_.stat(function.snapshot)) code_bytes += file->bytes;
    reserved += fleet_.reserved_concurrency(name).value_or(0);
  }
  Json document;
  document["AccountLimit"] = {
      {"ConcurrentExecutions", options_.concurrency_max},
      {"UnreservedConcurrentExecutions",
       options_.concurrency_max - std::min(options_.concurrency_max, reserved)}};
  document["AccountUsage"] = {{"TotalCodeSize", code_bytes},
                              {"FunctionCount", fleet_.functions().size()}};
  send(call, 200, document);
}

void ControlApi::get_concurrency(Call& call, const FunctionOptions& function, std::string_view) {
  Json document = Json::object();
  if (const auto reserved = fleet_.reserved_concurrency(function.name)) {
    document["ReservedConcurrentExecutions"] = *reserved;
  }
  send(call, 200, document);
}

void ControlApi::put_concurrency(Call& call, const FunctionOptions& function,
                                 std::string_view qualifier) {
  const auto document = read_object(call);
  if (!document) return;
  const auto at = document->find("ReservedConcurrentExecutions");
  if (!qualifier.empty() || at == document->end() || !at->is_number_unsigned()) {
    return send_error(call.writer, kBadParameter, call.request_id,
                      qualifier.empty()
                          ? "ReservedConcurrentExecutions: want a whole number from 0"
                          : "This operation is permitted on Lambda functions only. Aliases and "
                            "versions do not support this operation.");
  }
  std::uint64_t others = 0;
  for (const auto& [name, other] : fleet_.functions()) {
    if (name != function.name) others += fleet_.reserved_concurrency(name).value_or(0);
  }
  const std::uint64_t wanted = at->get<std::uint64_t>();
  if (wanted > options_.concurrency_max ||
      wanted + others + kUnreservedConcurrencyMin > options_.concurrency_max) {
    return send_error(call.writer, kBadParameter, call.request_id,
                      cat("Specified ReservedConcurrentExecutions for function decreases "
                          "account's UnreservedConcurrentExecution below its minimum value of [",
                          kUnreservedConcurrencyMin, "]."));
  }
  if (const auto set =
          fleet_.set_reserved_concurrency(function.name, static_cast<std::uint32_t>(wanted));
      !set) {
    return send_error(call.writer, kBadParameter, call.request_id, set.error().message);
  }
  send(call, 200, Json{{"ReservedConcurrentExecutions", wanted}});
}

void ControlApi::delete_concurrency(Call& call, const FunctionOptions& function, std::string_view) {
  if (const auto set = fleet_.set_reserved_concurrency(function.name, std::nullopt); !set) {
    return send_error(call.writer, kBadParameter, call.request_id, set.error().message);
  }
  send(call, 204, {});
}

void ControlApi::get_event_config(Call& call, const FunctionOptions& function,
                                  std::string_view qualifier) {
  const std::string arn = qualified_arn(options_, function, qualifier);
  const auto config = settings_.find(function.name, qualifier);
  if (config) return send(call, 200, body_of(*config, arn));
  send_error(call.writer, kNotFound, call.request_id,
             cat("The function ", arn, " doesn't have an EventInvokeConfig"));
}

void ControlApi::set_event_config(Call& call, const FunctionOptions& function,
                                  std::string_view qualifier, EventInvokeConfig config) {
  const auto document = read_object(call);
  if (!document) return;
  if (const auto read = read_config(*document, config); !read) {
    return send_error(call.writer, kBadParameter, call.request_id, read.error().message);
  }
  for (const std::string& text : {config.on_success, config.on_failure}) {
    const auto destination = text.empty() ? fail(Code::kNotFound, "") : parse_destination(text);
    if (destination && destination->kind == Destination::Kind::kFunction &&
        fleet_.find(destination->target) == nullptr) {
      return send_error(call.writer, kBadParameter, call.request_id,
                        cat("The destination ARN ", text, " is invalid: no such function"));
    }
  }
  config.modified = clock_.wall_now();
  settings_.set(function.name, qualifier, config);
  send(call, 200, body_of(config, qualified_arn(options_, function, qualifier)));
}

void ControlApi::put_event_config(Call& call, const FunctionOptions& function,
                                  std::string_view qualifier) {
  set_event_config(call, function, qualifier, {});
}

void ControlApi::update_event_config(Call& call, const FunctionOptions& function,
                                     std::string_view qualifier) {
  const auto config = settings_.find(function.name, qualifier);
  if (!config) return get_event_config(call, function, qualifier);
  set_event_config(call, function, qualifier, *config);
}

void ControlApi::delete_event_config(Call& call, const FunctionOptions& function,
                                     std::string_view qualifier) {
  if (settings_.remove(function.name, qualifier)) return send(call, 204, {});
  get_event_config(call, function, qualifier);
}

void ControlApi::list_event_configs(Call& call, const FunctionOptions& function, std::string_view) {
  Json document{{"FunctionEventInvokeConfigs", Json::array()}};
  for (const auto& [qualifier, config] : settings_.all(function.name)) {
    document["FunctionEventInvokeConfigs"].push_back(
        body_of(config, qualified_arn(options_, function, qualifier)));
  }
  send(call, 200, document);
}

void ControlApi::get_url(Call& call, const FunctionOptions& function, std::string_view) {
  Json document;
  const std::string host(call.request.headers().get("Host").value_or("localhost"));
  document["FunctionUrl"] = cat("http://", host, "/url/", function.name, "/");
  document["FunctionArn"] = function_arn(options_, function.name);
  document["AuthType"] = "NONE";
  document["InvokeMode"] = function.url_streams ? "RESPONSE_STREAM" : "BUFFERED";
  document["CreationTime"] = iso_time(started_);
  document["LastModifiedTime"] = iso_time(started_);
  send(call, 200, document);
}

}  // namespace thaw::emulator
