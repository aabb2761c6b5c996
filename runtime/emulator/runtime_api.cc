#include "runtime/emulator/runtime_api.h"

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

Result<std::unique_ptr<RuntimeApi>> RuntimeApi::start(std::function<void()> on_ready) {
  std::unique_ptr<RuntimeApi> api(new RuntimeApi(std::move(on_ready)));
  http::ServerOptions options;
  options.connections_max = 16;  // one runtime, which needs one
  options.body_bytes_max = kResponseBytesMax;
  options.read_time_max = kSilenceMax;
  options.idle_time_max = kSilenceMax;
  RuntimeApi* raw = api.get();
  THAW_TRY(server, http::Server::start(options,
                                       [raw](http::Request& request, http::ResponseWriter& writer) {
                                         raw->serve(request, writer);
                                       }));
  api->server_ = std::move(server);
  return api;
}

RuntimeApi::~RuntimeApi() {
  end([](std::string_view id) {
    return platform_failure("Runtime.Unavailable", id, "the instance was shut down");
  });
  server_.reset();
}

void RuntimeApi::give(std::shared_ptr<Invocation> invocation) {
  const std::lock_guard lock(mutex_);
  if (ended_) {
    invocation->answer.end(platform_failure("Runtime.ExitError", invocation->request_id,
                                            "Runtime exited without providing a reason"));
    return;
  }
  pending_ = std::move(invocation);
  changed_.notify_all();
}

void RuntimeApi::drain(std::chrono::milliseconds time_max) {
  std::unique_lock lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + time_max;
  while (current_ && (state_ == State::kInvoked || state_ == State::kAnswering) && !cut_short_) {
    // No connection left: there is nothing that could still be read.
    if (server_->connections() == 0 || std::chrono::steady_clock::now() >= until) return;
    changed_.wait_for(lock, kDrainSlice);
  }
}

void RuntimeApi::end(const std::function<Failure(std::string_view)>& failure) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (const auto& invocation : {pending_, current_}) {
    if (invocation) invocation->answer.end(failure(invocation->request_id));
  }
  pending_.reset();
  current_.reset();
  changed_.notify_all();
}

bool RuntimeApi::wait_idle(Clock::Monotonic until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return ended_ || state_ == State::kIdle; });
  return !ended_ && state_ == State::kIdle;
}

bool RuntimeApi::ready() const {
  const std::lock_guard lock(mutex_);
  return state_ != State::kStarting;
}

std::optional<Failure> RuntimeApi::init_failure() const {
  const std::lock_guard lock(mutex_);
  return init_failure_;
}

void RuntimeApi::serve(http::Request& request, http::ResponseWriter& writer) {
  std::string_view path = request.path();
  const bool get = request.method() == "GET";
  if (get && path == lambda::kNextPath) return next(writer);
  if (get && path == cat(lambda::kApiVersion, "/ping")) {
    (void)writer.send(200, {{"Content-Type", "text/plain"}}, "pong");
    return;
  }
  if (!get && path == lambda::kInitErrorPath) return init_error(request, writer);
  if (!get && path.starts_with(lambda::kInvocationPath)) {
    path.remove_prefix(lambda::kInvocationPath.size());
    const std::size_t slash = path.find('/');
    const std::string_view id = path.substr(0, slash);
    const std::string_view verb = slash == path.npos ? "" : path.substr(slash + 1);
    if (verb == "response") return answer(id, false, request, writer);
    if (verb == "error") return answer(id, true, request, writer);
  }
  refuse(writer, 404, "Runtime.NotFound",
         cat(request.method(), " ", request.path(),
             ": this emulator's Runtime API has no such path; extensions, telemetry and restore "
             "are not emulated"));
}

void RuntimeApi::next(http::ResponseWriter& writer) {
  std::unique_lock lock(mutex_);
  if (state_ == State::kInvoked || state_ == State::kAnswering || state_ == State::kIdle) {
    lock.unlock();
    return refuse(writer, 403, "InvalidStateTransition", "Transition to Ready is not allowed");
  }
  const bool first = state_ == State::kStarting;
  state_ = State::kIdle;
  changed_.notify_all();
  if (first) {
    lock.unlock();
    on_ready_();
    lock.lock();
  }
  while (!pending_) {
    if (ended_ || writer.cancelled()) {
      // A poll that broke off leaves the state as if it had not been made.
      state_ = State::kAnswered;
      lock.unlock();
      return writer.abort();
    }
    changed_.wait_for(lock, kPollSlice);
  }
  current_ = std::move(pending_);
  pending_.reset();
  state_ = State::kInvoked;
  const std::shared_ptr<Invocation> invocation = current_;
  lock.unlock();
  http::Fields headers{{"Content-Type", "application/json"},
                       {std::string(lambda::kRequestIdHeader), invocation->request_id},
                       {std::string(lambda::kInvocationIdHeader), invocation->invocation_id},
                       {std::string(lambda::kDeadlineHeader), epoch_ms(invocation->deadline)},
                       {std::string(lambda::kFunctionArnHeader), invocation->function_arn},
                       {std::string(lambda::kTraceIdHeader), invocation->trace_id}};
  if (!invocation->client_context.empty()) {
    headers.add(lambda::kClientContextHeader, invocation->client_context);
  }
  (void)writer.send(200, headers, invocation->event);
}

void RuntimeApi::answer(std::string_view request_id, bool is_error, http::Request& request,
                        http::ResponseWriter& writer) {
  std::shared_ptr<Invocation> invocation;
  {
    const std::lock_guard lock(mutex_);
    invocation = current_;
    if (state_ == State::kInvoked && invocation && invocation->request_id == request_id) {
      const auto echoed = request.headers().get(lambda::kInvocationIdHeader);
      if (!echoed || echoed->empty() || *echoed == invocation->invocation_id) {
        state_ = State::kAnswering;
      }
    }
    if (state_ == State::kStarting || state_ == State::kIdle || !invocation ||
        invocation->request_id != request_id) {
      return refuse(writer, 400, "InvalidRequestID", "Invalid request ID");
    }
    if (state_ == State::kInvoked) {
      return refuse(writer, 410, "InvokeTimeout", "another attempt's invocation id");
    }
    if (state_ != State::kAnswering) {
      return refuse(writer, 403, "InvalidStateTransition",
                    "Transition to InvocationResponse is not allowed");
    }
  }
  if (is_error) {
    take_error(*invocation, request, writer);
  } else if (const auto mode = request.headers().get(lambda::kResponseModeHeader);
             !mode || mode->empty()) {
    take_buffered(*invocation, request, writer);
  } else if (http::same_name(*mode, "streaming")) {
    take_stream(*invocation, request, writer);
  } else {
    {
      const std::lock_guard lock(mutex_);
      if (state_ == State::kAnswering) state_ = State::kInvoked;
    }
    refuse(writer, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
  }
}

// A body that is cut short is most often a process that has just ended, and then its end is what
// the caller should hear of: it is given a moment to become known.
void RuntimeApi::await_end() {
  std::unique_lock lock(mutex_);
  cut_short_ = true;
  changed_.notify_all();
  changed_.wait_for(lock, kEndKnownWithin, [&] { return ended_; });
}

void RuntimeApi::answered() {
  const std::lock_guard lock(mutex_);
  state_ = State::kAnswered;
  changed_.notify_all();
}

void RuntimeApi::take_buffered(Invocation& invocation, http::Request& request,
                               http::ResponseWriter& writer) {
  request.set_body_limits(kResponseBytesMax, kSilenceMax);
  const Result<std::string> body = request.read_all();
  if (!body && body.error().code == Code::kIo) await_end();
  answered();
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
  if (!got && got.error().code == Code::kIo) await_end();
  answered();
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
  answered();
  const auto type = request.headers().get(lambda::kErrorTypeHeader).value_or("Function.Unknown");
  const bool wanted =
      invocation.answer.end(reported(type, body ? std::move(*body) : std::string()));
  if (!wanted) return refuse(writer, 410, "InvokeTimeout", "Invoke timeout");
  if (!body) return refuse(writer, 400, "TruncatedHTTPRequest", body.error().message);
  accept(writer);
}

void RuntimeApi::init_error(http::Request& request, http::ResponseWriter& writer) {
  request.set_body_limits(kErrorBytesMax, kSilenceMax);
  Result<std::string> body = request.read_all();
  const auto type = request.headers().get(lambda::kErrorTypeHeader).value_or("Runtime.Unknown");
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kStarting) {
      return refuse(writer, 403, "InvalidStateTransition",
                    "Transition to InitError is not allowed");
    }
    init_failure_ = reported(type, body ? std::move(*body) : std::string());
  }
  accept(writer);
}

}  // namespace thaw::emulator
