#include "runtime/emulator/runtime_api.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/str.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// How long a poll waits before it looks whether the runtime is still there.
constexpr auto kPollSlice = 200ms;
constexpr auto kEndKnownWithin = 250ms;
constexpr auto kDrainSlice = 5ms;
constexpr auto kUnbegunMax = 100ms;
// As AWS's own: 6 MB and some room.
constexpr std::size_t kResponseBytesMax = lambda::kPayloadBytesMax + 100;
constexpr std::size_t kStreamBytesMax = 200u << 20;  // AWS ends streams at 200 MB
constexpr std::size_t kErrorBytesMax = 1u << 20;
// A runtime may be silent for as long as an invocation may last.
constexpr std::chrono::milliseconds kSilenceMax = 15min;

void refuse(http::ResponseWriter& writer, int status, std::string_view type,
            std::string_view message) {
  nlohmann::ordered_json body;
  body["errorMessage"] = message;
  body["errorType"] = type;
  (void)writer.send(status, {{"Content-Type", "application/json"}}, body.dump());
}

void accept(http::ResponseWriter& writer) {
  (void)writer.send(202, {{"Content-Type", "application/json"}}, R"({"status":"OK"})");
}

// The error that a runtime reported: its own document, if it is one.
Failure reported(std::string_view type, std::string body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_discarded()) body = lambda::error_document({std::string(type), "no JSON error body"});
  return {std::string(lambda::header_error_type(type)), std::move(body)};
}

std::string epoch_ms(Clock::Wall time) {
  return cat(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace

Result<std::unique_ptr<RuntimeApi>> RuntimeApi::start(
    const RuntimeApiOptions& options, RuntimeApiEvents events, Extensions& extensions,
    Telemetry& telemetry, std::function<void(const PlatformEvent&)> tell) {
  std::unique_ptr<RuntimeApi> api(
      new RuntimeApi(options, std::move(events), extensions, telemetry, std::move(tell)));
  http::ServerOptions server_options;
  // A connection or two for each event and each extension, and some to misbehave on.
  server_options.connections_max = 16 + 2 * Extensions::kMax + 2 * std::size_t{options.concurrency};
  server_options.body_bytes_max = kResponseBytesMax;
  server_options.read_time_max = kSilenceMax;
  server_options.idle_time_max = kSilenceMax;
  RuntimeApi* raw = api.get();
  THAW_TRY(server, http::Server::start(server_options,
                                       [raw](http::Request& request, http::ResponseWriter& writer) {
                                         raw->serve(request, writer);
                                       }));
  api->server_ = std::move(server);
  return api;
}

RuntimeApi::RuntimeApi(const RuntimeApiOptions& options, RuntimeApiEvents events,
                       Extensions& extensions, Telemetry& telemetry,
                       std::function<void(const PlatformEvent&)> tell)
    : options_(options),
      events_(std::move(events)),
      extensions_(extensions),
      telemetry_(telemetry),
      tell_(std::move(tell)) {}

RuntimeApi::~RuntimeApi() {
  end([](std::string_view id) {
    return platform_failure("Runtime.Unavailable", id, "the instance was shut down");
  });
  extensions_.end();
  server_.reset();
}

void RuntimeApi::give(std::shared_ptr<Invocation> invocation) {
  const std::lock_guard lock(mutex_);
  if (ended_) {
    invocation->answer.end(platform_failure("Runtime.ExitError", invocation->request_id,
                                            "Runtime exited without providing a reason"));
    return;
  }
  pending_.push_back(std::move(invocation));
  changed_.notify_all();
}

void RuntimeApi::restore() {
  const std::lock_guard lock(mutex_);
  restore_ = Restore::kRestored;
  changed_.notify_all();
}

void RuntimeApi::drain(std::chrono::milliseconds time_max) {
  std::unique_lock lock(mutex_);
  const auto begun = std::chrono::steady_clock::now();
  while (true) {
    const auto waited = std::chrono::steady_clock::now() - begun;
    const bool unread = std::any_of(active_.begin(), active_.end(), [&](const auto& one) {
      // An answer that has not begun by then is not to come; extensions keep connections open.
      return !one.second.cut_short && (one.second.answering || waited < kUnbegunMax);
    });
    // No connection left: there is nothing that could still be read.
    if (!unread || server_->connections() == 0 || waited >= time_max) return;
    changed_.wait_for(lock, kDrainSlice);
  }
}

void RuntimeApi::end(const std::function<Failure(std::string_view)>& failure) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (const auto& invocation : std::exchange(pending_, {})) {
    invocation->answer.end(failure(invocation->request_id));
  }
  for (const auto& [id, active] : std::exchange(active_, {})) {
    active.invocation->answer.end(failure(id));
  }
  changed_.notify_all();
}

bool RuntimeApi::wait_free(std::string_view request_id, Clock::Monotonic until) {
  std::unique_lock lock(mutex_);
  const auto free = [&] {
    return !active_.contains(request_id) && (options_.concurrency > 1 || polls_ > 0);
  };
  changed_.wait_until(lock, until, [&] { return ended_ || free(); });
  return !ended_ && free();
}

bool RuntimeApi::ready() const {
  const std::lock_guard lock(mutex_);
  return ready_;
}

std::optional<Failure> RuntimeApi::init_failure() const {
  const std::lock_guard lock(mutex_);
  return init_failure_;
}

void RuntimeApi::serve(http::Request& request, http::ResponseWriter& writer) {
  if (serve_runtime(request, writer) || extensions_.serve(request, writer)) return;
  if (request.method() == "PUT" && request.path() == kTelemetryPath) {
    return subscribe(request, writer);
  }
  refuse(writer, 404, "Runtime.NotFound",
         cat(request.method(), " ", request.path(), ": this emulator has no such path"));
}

// False: no path of the Runtime API.
bool RuntimeApi::serve_runtime(http::Request& request, http::ResponseWriter& writer) {
  std::string_view path = request.path();
  const bool get = request.method() == "GET";
  const bool post = request.method() == "POST";
  if (get && path == lambda::kNextPath) {
    next(writer);
  } else if (get && path == cat(lambda::kApiVersion, "/ping")) {
    (void)writer.send(200, {{"Content-Type", "text/plain"}}, "pong");
  } else if (post && path == lambda::kInitErrorPath) {
    start_error(false, request, writer);
  } else if (options_.restores && get && path == lambda::kRestoreNextPath) {
    restore_next(writer);
  } else if (options_.restores && post && path == lambda::kRestoreErrorPath) {
    start_error(true, request, writer);
  } else if (post && path.starts_with(lambda::kInvocationPath)) {
    path.remove_prefix(lambda::kInvocationPath.size());
    const std::size_t slash = path.find('/');
    const std::string_view verb = slash == path.npos ? "" : path.substr(slash + 1);
    if (verb != "response" && verb != "error") return false;
    answer(path.substr(0, slash), verb == "error", request, writer);
  } else {
    return false;
  }
  return true;
}

void RuntimeApi::next(http::ResponseWriter& writer) {
  std::unique_lock lock(mutex_);
  if (polls_ + active_.size() >= options_.concurrency || restore_ == Restore::kParked) {
    lock.unlock();
    return refuse(writer, 403, "InvalidStateTransition", "Transition to Ready is not allowed");
  }
  ++polls_;
  answered_.clear();
  changed_.notify_all();
  if (!std::exchange(ready_, true)) {
    lock.unlock();
    extensions_.close_registration();
    events_.ready();
    lock.lock();
  }
  while (pending_.empty()) {
    if (ended_ || writer.cancelled()) {
      --polls_;  // as if it had not been made
      lock.unlock();
      return writer.abort();
    }
    changed_.wait_for(lock, kPollSlice);
  }
  const std::shared_ptr<Invocation> invocation = std::move(pending_.front());
  pending_.pop_front();
  --polls_;
  active_[invocation->request_id].invocation = invocation;
  lock.unlock();
  hand_out(*invocation, writer);
}

void RuntimeApi::hand_out(const Invocation& invocation, http::ResponseWriter& writer) const {
  http::Fields headers{{"Content-Type", "application/json"},
                       {std::string(lambda::kRequestIdHeader), invocation.request_id},
                       {std::string(lambda::kInvocationIdHeader), invocation.invocation_id},
                       {std::string(lambda::kDeadlineHeader), epoch_ms(invocation.deadline)},
                       {std::string(lambda::kFunctionArnHeader), invocation.function_arn},
                       {std::string(lambda::kTraceIdHeader), invocation.trace_id}};
  if (!invocation.client_context.empty()) {
    headers.add(lambda::kClientContextHeader, invocation.client_context);
  }
  (void)writer.send(200, headers, invocation.event);
}

void RuntimeApi::restore_next(http::ResponseWriter& writer) {
  std::unique_lock lock(mutex_);
  if (ready_ || restore_ != Restore::kNone) {
    lock.unlock();
    return refuse(writer, 403, "InvalidStateTransition",
                  "Transition to RestoreReady is not allowed");
  }
  restore_ = Restore::kParked;
  lock.unlock();
  extensions_.close_registration();
  events_.parked();
  lock.lock();
  while (restore_ == Restore::kParked) {
    if (ended_ || writer.cancelled()) {
      lock.unlock();
      return writer.abort();
    }
    changed_.wait_for(lock, kPollSlice);
  }
  lock.unlock();
  (void)writer.send(200, {{"Content-Type", "application/json"}}, "{}");
}

void RuntimeApi::subscribe(http::Request& request, http::ResponseWriter& writer) {
  const auto id = request.headers().get(lambda::kExtensionIdHeader).value_or("");
  const std::string name = extensions_.name_of(id);
  if (name.empty()) {
    return refuse(writer, 403,
                  id.empty() ? "Extension.MissingHeader" : "Extension.UnknownExtensionIdentifier",
                  "the Telemetry API is for registered extensions");
  }
  request.limit_body(kErrorBytesMax);
  const Result<std::string> body = request.read_all();
  if (!body) return refuse(writer, 400, "ValidationError", body.error().message);
  const auto asked = parse_subscription(*body);
  if (!asked) return refuse(writer, 400, "ValidationError", asked.error().message);
  if (const auto done = telemetry_.subscribe(name, *asked); !done) {
    return refuse(writer, 500, "Telemetry.Failed", done.error().message);
  }
  tell_(telemetry_subscription(name, asked->types()));
  (void)writer.send(200, {{"Content-Type", "text/plain"}}, "OK");
}

void RuntimeApi::answer(std::string_view request_id, bool is_error, http::Request& request,
                        http::ResponseWriter& writer) {
  std::shared_ptr<Invocation> invocation;
  const auto mode = request.headers().get(lambda::kResponseModeHeader).value_or("");
  const bool streamed = http::same_name(mode, "streaming");
  {
    const std::lock_guard lock(mutex_);
    const auto at = active_.find(request_id);
    if (at == active_.end() && answered_ != request_id) {
      return refuse(writer, 400, "InvalidRequestID", "Invalid request ID");
    }
    if (at == active_.end() || at->second.answering) {
      return refuse(writer, 403, "InvalidStateTransition",
                    "Transition to InvocationResponse is not allowed");
    }
    invocation = at->second.invocation;
    const auto echoed = request.headers().get(lambda::kInvocationIdHeader).value_or("");
    if (!echoed.empty() && echoed != invocation->invocation_id) {
      return refuse(writer, 410, "InvokeTimeout", "another attempt's invocation id");
    }
    if (!is_error && !mode.empty() && !streamed) {
      return refuse(writer, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
    }
    at->second.answering = true;
  }
  if (is_error) return take_error(*invocation, request, writer);
  if (streamed) return take_stream(*invocation, request, writer);
  take_buffered(*invocation, request, writer);
}

// A body that is cut short is most often a process that has just ended, and then its end is what
// the caller should hear of: it is given a moment to become known.
void RuntimeApi::await_end(const Invocation& invocation) {
  std::unique_lock lock(mutex_);
  if (const auto at = active_.find(invocation.request_id); at != active_.end()) {
    at->second.cut_short = true;
  }
  changed_.notify_all();
  changed_.wait_for(lock, kEndKnownWithin, [&] { return ended_; });
}

void RuntimeApi::answered(const Invocation& invocation) {
  const std::lock_guard lock(mutex_);
  active_.erase(invocation.request_id);
  answered_ = invocation.request_id;
  changed_.notify_all();
}

void RuntimeApi::take_buffered(Invocation& invocation, http::Request& request,
                               http::ResponseWriter& writer) {
  request.set_body_limits(kResponseBytesMax, kSilenceMax);
  const Result<std::string> body = request.read_all();
  if (!body && body.error().code == Code::kIo) await_end(invocation);
  answered(invocation);
  if (!body && body.error().code == Code::kLimit) {
    const std::string message = cat("Response payload size exceeded maximum allowed payload size (",
                                    kResponseBytesMax, " bytes).");
    invocation.answer.end(
        platform_failure("Function.ResponseSizeTooLarge", invocation.request_id, message));
    return refuse(writer, 413, "RequestEntityTooLarge",
                  cat("Exceeded maximum allowed payload size (", kResponseBytesMax, " bytes)."));
  }
  if (!body) {
    invocation.answer.end(platform_failure("Runtime.TruncatedResponse", invocation.request_id,
                                           "the runtime's response was cut short"));
    return refuse(writer, 400, "TruncatedHTTPRequest", "HTTP request was truncated");
  }
  AnswerHead head{false, std::string(request.headers().get("Content-Type").value_or("")),
                  std::string(request.headers().get(lambda::kTimingHeader).value_or(""))};
  const bool wanted = invocation.answer.begin(std::move(head)) && invocation.answer.push(*body) &&
                      invocation.answer.end({});
  if (!wanted) return refuse(writer, 410, "InvokeTimeout", "Invoke timeout");
  accept(writer);
}

void RuntimeApi::take_stream(Invocation& invocation, http::Request& request,
                             http::ResponseWriter& writer) {
  request.set_body_limits(kStreamBytesMax, kSilenceMax);
  AnswerHead head{
      true, std::string(request.headers().get("Content-Type").value_or("application/octet-stream")),
      std::string(request.headers().get(lambda::kTimingHeader).value_or(""))};
  bool wanted = invocation.answer.begin(std::move(head));
  std::array<char, 16 << 10> buffer;
  Result<std::size_t> got = std::size_t{0};
  while (wanted && (got = request.read_some(buffer)) && *got > 0) {
    wanted = invocation.answer.push({buffer.data(), *got});
  }
  if (!got && got.error().code == Code::kIo) await_end(invocation);
  answered(invocation);
  if (!wanted) return refuse(writer, 410, "InvokeTimeout", "Invoke timeout");
  if (!got) {
    const bool large = got.error().code == Code::kLimit;
    invocation.answer.end(
        platform_failure(large ? "Function.ResponseSizeTooLarge" : "Runtime.TruncatedResponse",
                         invocation.request_id,
                         large ? cat("the stream is longer than ", kStreamBytesMax, " bytes")
                               : std::string("the runtime's stream was cut short")));
    return large ? refuse(writer, 413, "RequestEntityTooLarge", "stream too long")
                 : refuse(writer, 400, "TruncatedHTTPRequest", "HTTP request was truncated");
  }
  std::optional<Failure> failure;
  if (const auto type = request.trailers().get(lambda::kErrorTypeHeader); type && !type->empty()) {
    const auto body = request.trailers().get(lambda::kErrorBodyHeader).value_or("");
    failure = reported(*type, lambda::base64_decode(body).value_or(""));
  }
  if (!invocation.answer.end(std::move(failure))) {
    return refuse(writer, 410, "InvokeTimeout", "Invoke timeout");
  }
  accept(writer);
}

void RuntimeApi::take_error(Invocation& invocation, http::Request& request,
                            http::ResponseWriter& writer) {
  request.set_body_limits(kErrorBytesMax, kSilenceMax);
  Result<std::string> body = request.read_all();
  answered(invocation);
  const auto type = request.headers().get(lambda::kErrorTypeHeader).value_or("Function.Unknown");
  const bool wanted =
      invocation.answer.end(reported(type, body ? std::move(*body) : std::string()));
  if (!wanted) return refuse(writer, 410, "InvokeTimeout", "Invoke timeout");
  if (!body) return refuse(writer, 400, "TruncatedHTTPRequest", body.error().message);
  accept(writer);
}

// A start that the runtime itself calls failed: its own part of it, or what follows a restore.
void RuntimeApi::start_error(bool restoring, http::Request& request, http::ResponseWriter& writer) {
  request.set_body_limits(kErrorBytesMax, kSilenceMax);
  Result<std::string> body = request.read_all();
  const auto type = request.headers().get(lambda::kErrorTypeHeader).value_or("Runtime.Unknown");
  {
    const std::lock_guard lock(mutex_);
    if (ready_ || restoring != (restore_ == Restore::kRestored)) {
      return refuse(writer, 403, "InvalidStateTransition",
                    restoring ? "Transition to RestoreError is not allowed"
                              : "Transition to InitError is not allowed");
    }
    init_failure_ = reported(type, body ? std::move(*body) : std::string());
  }
  accept(writer);
}

}  // namespace thaw::emulator
