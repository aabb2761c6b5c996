#include "runtime/emulator/extensions.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr std::string_view kInitError = "/2020-01-01/extension/init/error";
constexpr std::string_view kExitError = "/2020-01-01/extension/exit/error";
constexpr std::string_view kErrorType = "Lambda-Extension-Function-Error-Type";
constexpr std::string_view kEventIdHeader = "Lambda-Extension-Event-Identifier";
constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kBodyBytesMax = 64 << 10;
constexpr auto kPollSlice = 200ms;  // how late a poll notices that its extension is gone

void refuse(http::ResponseWriter& writer, int status, std::string_view type,
            std::string_view message) {
  const Json body = {{"errorMessage", message}, {"errorType", type}};
  (void)writer.send(status, {{"Content-Type", "application/json"}},
                    body.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::vector<std::string> event_names(bool invoke, bool shutdown) {
  std::vector<std::string> names;
  if (invoke) names.emplace_back("INVOKE");
  if (shutdown) names.emplace_back("SHUTDOWN");
  return names;
}

std::int64_t epoch_ms(Clock::Wall time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Extensions::Extensions(ExtensionsOptions options, std::function<void(const PlatformEvent&)> tell,
                       std::function<void()> changed)
    : options_(std::move(options)),
      tell_(std::move(tell)),
      changed_hook_(std::move(changed)),
      ids_(options_.seed) {}

bool Extensions::serve(http::Request& request, http::ResponseWriter& writer) {
  const std::string_view path = request.path();
  const bool post = request.method() == "POST";
  if (post && path == lambda::kRegisterPath) {
    enter(request, writer);
  } else if (request.method() == "GET" && path == lambda::kExtensionNextPath) {
    next(request, writer);
  } else if (post && (path == kInitError || path == kExitError)) {
    fail(request, writer, path == kInitError);
  } else {
    return false;
  }
  return true;
}

void Extensions::enter(http::Request& request, http::ResponseWriter& writer) {
  const auto name = request.headers().get(lambda::kExtensionNameHeader);
  if (!name || name->empty() || name->size() > kNameBytesMax) {
    return refuse(writer, 403, "Extension.InvalidExtensionName", "Invalid extension name");
  }
  request.limit_body(kBodyBytesMax);
  const Result<std::string> body = request.read_all();
  const Json asked = body ? Json::parse(*body, nullptr, false) : Json();
  // aws-lambda-go sends null where it wants none.
  const Json events = asked.is_object() ? asked.value("events", Json()) : Json(false);
  if (!events.is_array() && !events.is_null()) {
    return refuse(writer, 400, "InvalidRequestFormat", "the body is no JSON object with 'events'");
  }
  Extension extension;
  extension.name = *name;
  extension.external = std::find(options_.external.begin(), options_.external.end(), *name) !=
                       options_.external.end();
  for (const Json& event : events) {
    const bool invoke = event == "INVOKE" && options_.invocations;
    // SHUTDOWN is for those that outlive the runtime.
    const bool shutdown = event == "SHUTDOWN" && extension.external;
    if (!invoke && !shutdown) {
      return refuse(
          writer, 403, "Extension.InvalidEventType",
          cat("Invalid event type: ", event.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    extension.invoke = extension.invoke || invoke;
    extension.shutdown = extension.shutdown || shutdown;
  }
  const std::string id = ids_.request_id();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return refuse(writer, 403, "Extension.RegistrationClosed",
                    "Extension registration closed already");
    }
    if (extensions_.size() >= kMax) {
      return refuse(writer, 403, "Extension.TooManyExtensions",
                    cat("Extension limit (", kMax, ") reached"));
    }
    const bool there = std::any_of(extensions_.begin(), extensions_.end(),
                                   [&](const auto& one) { return one.second.name == *name; });
    if (there) {
      return refuse(writer, 403, "Extension.InvalidExtensionState",
                    cat("Extension ", *name, " is registered already"));
    }
    extensions_.emplace(id, std::move(extension));
    changed_.notify_all();
  }
  changed_hook_();
  Json answer = {{"functionName", options_.function},
                 {"functionVersion", "$LATEST"},
                 {"handler", options_.handler}};
  if (request.headers().get("Lambda-Extension-Accept-Feature").value_or("").find("accountId") !=
      std::string_view::npos) {
    answer["accountId"] = "123456789012";
  }
  (void)writer.send(
      200, {{"Content-Type", "application/json"}, {std::string(lambda::kExtensionIdHeader), id}},
      answer.dump());
}

void Extensions::next(http::Request& request, http::ResponseWriter& writer) {
  const auto id = request.headers().get(lambda::kExtensionIdHeader);
  std::unique_lock lock(mutex_);
  if (!id || id->empty()) {
    return refuse(writer, 403, "Extension.MissingHeader", "Missing Lambda-Extension-Identifier");
  }
  const auto at = extensions_.find(*id);
  if (at == extensions_.end()) {
    return refuse(writer, 403, "Extension.UnknownExtensionIdentifier", "Unknown extension");
  }
  Extension& extension = at->second;
  if (extension.state == State::kWaiting || extension.state == State::kFailed) {
    return refuse(writer, 403, "Extension.InvalidExtensionState",
                  "State transition is not allowed");
  }
  const bool first = extension.state == State::kRegistered;
  extension.state = State::kWaiting;
  changed_.notify_all();
  if (first) {
    lock.unlock();
    tell_(extension_state(extension.name, "Ready",
                          event_names(extension.invoke, extension.shutdown)));
    changed_hook_();
    lock.lock();
  }
  while (!extension.event) {
    if (ended_ || writer.cancelled()) {
      extension.state = State::kBusy;  // as if it had not asked
      lock.unlock();
      return writer.abort();
    }
    changed_.wait_for(lock, kPollSlice);
  }
  const std::string event = *std::exchange(extension.event, std::nullopt);
  extension.state = State::kBusy;
  lock.unlock();
  (void)writer.send(
      200, {{"Content-Type", "application/json"}, {std::string(kEventIdHeader), ids_.request_id()}},
      event);
}

void Extensions::fail(http::Request& request, http::ResponseWriter& writer, bool at_init) {
  const auto id = request.headers().get(lambda::kExtensionIdHeader);
  const auto type = request.headers().get(kErrorType);
  request.limit_body(kBodyBytesMax);
  const Result<std::string> body = request.read_all();
  if (!id || id->empty() || !type || type->empty()) {
    return refuse(writer, 403, "Extension.MissingHeader",
                  cat("Missing ", !id || id->empty() ? lambda::kExtensionIdHeader : kErrorType));
  }
  std::string name;
  std::vector<std::string> events;
  {
    const std::lock_guard lock(mutex_);
    const auto at = extensions_.find(*id);
    if (at == extensions_.end()) {
      return refuse(writer, 403, "Extension.UnknownExtensionIdentifier", "Unknown extension");
    }
    if (at->second.state == State::kFailed || (at_init && at->second.state != State::kRegistered)) {
      return refuse(writer, 403, "Extension.InvalidExtensionState",
                    "State transition is not allowed");
    }
    at->second.state = State::kFailed;
    name = at->second.name;
    events = event_names(at->second.invoke, at->second.shutdown);
    if (!failure_) {
      const Json said = body ? Json::parse(*body, nullptr, false) : Json();
      const bool sound = said.is_object();
      const Json document = {{"errorType", at_init ? "Extension.InitError" : "Extension.ExitError"},
                             {"errorMessage", cat("extension '", name, "': ", *type)}};
      failure_ =
          Failure{at_init ? "Extension.InitError" : "Extension.ExitError",
                  sound ? *body : document.dump(-1, ' ', false, Json::error_handler_t::replace)};
    }
    changed_.notify_all();
  }
  tell_(extension_state(name, at_init ? "InitError" : "ExitError", events, *type));
  changed_hook_();
  (void)writer.send(202, {{"Content-Type", "application/json"}}, R"({"status":"OK"})");
}

void Extensions::close_registration() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

bool Extensions::registered() const {
  const std::lock_guard lock(mutex_);
  const auto external = std::count_if(extensions_.begin(), extensions_.end(),
                                      [](const auto& one) { return one.second.external; });
  return static_cast<std::size_t>(external) == options_.external.size();
}

bool Extensions::ready_locked() const {
  return std::all_of(extensions_.begin(), extensions_.end(), [](const auto& one) {
    return one.second.state == State::kWaiting && !one.second.event;
  });
}

bool Extensions::ready() const {
  const std::lock_guard lock(mutex_);
  return ready_locked();
}

bool Extensions::any() const {
  const std::lock_guard lock(mutex_);
  return !extensions_.empty();
}

bool Extensions::any_external() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(extensions_.begin(), extensions_.end(),
                     [](const auto& one) { return one.second.external; });
}

std::optional<Failure> Extensions::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::string Extensions::name_of(std::string_view identifier) const {
  const std::lock_guard lock(mutex_);
  const auto at = extensions_.find(identifier);
  return at == extensions_.end() ? std::string() : at->second.name;
}

void Extensions::invoke(const Invocation& invocation) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, extension] : extensions_) {
    if (!extension.invoke || extension.state == State::kFailed) continue;
    const Json event = {{"eventType", "INVOKE"},
                        {"deadlineMs", epoch_ms(invocation.deadline)},
                        {"requestId", invocation.request_id},
                        {"invokedFunctionArn", invocation.function_arn},
                        {"tracing", {{"type", "X-Amzn-Trace-Id"}, {"value", invocation.trace_id}}}};
    extension.event = event.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  changed_.notify_all();
}

bool Extensions::wait_done(Clock::Monotonic until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return abandoned_ || ready_locked(); });
  return !abandoned_ && ready_locked();
}

void Extensions::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

void Extensions::shut_down(std::string_view reason, Clock::Wall deadline) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, extension] : extensions_) {
    if (!extension.shutdown || extension.state == State::kFailed) continue;
    const Json event = {
        {"eventType", "SHUTDOWN"}, {"shutdownReason", reason}, {"deadlineMs", epoch_ms(deadline)}};
    extension.event = event.dump();
  }
  changed_.notify_all();
}

void Extensions::end() {
  const std::lock_guard lock(mutex_);
  ended_ = abandoned_ = true;
  changed_.notify_all();
}

Result<std::vector<std::string>> executables_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && ::access(at->path().c_str(), X_OK) == 0) {
      names.push_back(at->path().filename().string());
    }
  }
  if (error) {
    return thaw::fail(Code::kNotFound, cat("extensions in '", folder, "': ", error.message(),
                                           "; want a folder of executables"));
  }
  std::sort(names.begin(), names.end());
  if (names.size() > Extensions::kMax) {
    return thaw::fail(Code::kLimit,
                      cat("extensions in '", folder, "': ", names.size(), " executables, at most ",
                          Extensions::kMax, " extensions run beside a function"));
  }
  return names;
}

}  // namespace thaw::emulator
