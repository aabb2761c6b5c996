#include "runtime/emulator/invoke_api.h"

#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <vector>

#include "base/str.h"
#include "runtime/emulator/aws_error.h"
#include "runtime/emulator/callers.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/function_url.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

// "/2015-03-31/..." and its like: a path of AWS's API, never of a function URL.
bool is_api_path(std::string_view path) {
  constexpr std::string_view kPattern = "/dddd-dd-dd/";
  if (path.size() < kPattern.size()) return false;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const bool fits =
        kPattern[i] == 'd' ? path[i] >= '0' && path[i] <= '9' : path[i] == kPattern[i];
    if (!fits) return false;
  }
  return true;
}

// The middle of `path` between `before` and `after`, if that is how it looks.
std::optional<std::string_view> between(std::string_view path, std::string_view before,
                                        std::string_view after) {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (!path.starts_with(before) || !path.ends_with(after)) return std::nullopt;
  if (path.size() <= before.size() + after.size()) return std::nullopt;
  return path.substr(before.size(), path.size() - before.size() - after.size());
}

std::string unknown_functions_text(const Fleet& fleet) {
  std::string text =
      "no function is named in the path; POST to /2015-03-31/functions/NAME/"
      "invocations, or call a function URL:";
  for (const auto& [name, function] : fleet.functions()) text += cat(" /url/", name, "/");
  return text;
}

}  // namespace

std::string_view function_name_in(std::string_view reference) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t colon = reference.find(':');
    parts.push_back(reference.substr(0, colon));
    if (colon == reference.npos) break;
    reference.remove_prefix(colon + 1);
  }
  const auto is_account = [](std::string_view text) {
    return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
  };
  if (parts.size() >= 7 && parts[0] == "arn") return parts[6];
  if (parts.size() >= 3 && is_account(parts[0]) && parts[1] == "function") return parts[2];
  if (parts.size() >= 2 && is_account(parts[0])) return parts[1];
  return parts[0];
}

InvokeApi::InvokeApi(Fleet& fleet, const Options& options, Clock& clock, LogSink log)
    : fleet_(fleet),
      options_(options),
      clock_(clock),
      log_(std::move(log)),
      ids_((std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()),
      worker_([this] { work_off(); }) {}

InvokeApi::~InvokeApi() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  worker_.join();
}

void InvokeApi::serve(http::Request& request, http::ResponseWriter& writer) {
  Call call{request, writer, ids_.request_id()};
  if (is_api_path(request.path())) {
    if (!serve_api(call)) {
      send_error(writer, kUnknownOperation, call.request_id,
                 cat(request.method(), " ", request.path(),
                     ": this emulator answers POST /2015-03-31/functions/NAME/invocations and POST "
                     "/2021-11-15/functions/NAME/response-streaming-invocations"));
    }
    return;
  }
  constexpr std::string_view kUrlPrefix = "/url/";
  if (request.path().starts_with(kUrlPrefix)) {
    std::string_view rest = request.path().substr(kUrlPrefix.size());
    const std::size_t slash = rest.find('/');
    if (const auto* function = fleet_.find(percent_decode(rest.substr(0, slash), false))) {
      return serve_url(call, *function, slash == rest.npos ? "/" : rest.substr(slash));
    }
  }
  if (fleet_.functions().size() == 1) {
    return serve_url(call, fleet_.functions().begin()->second, request.path());
  }
  send_error(writer, kNotFound, call.request_id, unknown_functions_text(fleet_));
}

// False: no operation of ours.
bool InvokeApi::serve_api(Call& call) {
  if (call.request.method() != "POST") return false;
  const std::string_view path = call.request.path();
  if (const auto name = between(path, "/2015-03-31/functions/", "/invocations")) {
    invoke(call, *name, false);
    return true;
  }
  if (const auto name =
          between(path, "/2021-11-15/functions/", "/response-streaming-invocations")) {
    invoke(call, *name, true);
    return true;
  }
  return false;
}

void InvokeApi::invoke(Call& call, std::string_view encoded_name, bool streaming) {
  const http::Fields& headers = call.request.headers();
  const std::string reference = percent_decode(encoded_name, false);
  const FunctionOptions* function = fleet_.find(function_name_in(reference));
  if (function == nullptr) {
    return send_error(
        call.writer, kNotFound, call.request_id,
        cat("Function not found: ", function_arn(options_, function_name_in(reference))));
  }
  const std::string type(headers.get("X-Amz-Invocation-Type").value_or("RequestResponse"));
  const bool later = type == "Event" && !streaming;
  if (type != "RequestResponse" && type != "DryRun" && !later) {
    return send_error(call.writer, kBadParameter, call.request_id,
                      "Value at 'invocationType' failed to satisfy constraint: Member must satisfy "
                      "enum value set: [Event, RequestResponse, DryRun]");
  }
  const std::size_t bytes_max = later ? kAsyncBytesMax : lambda::kPayloadBytesMax;
  call.request.set_body_limits(bytes_max, std::chrono::seconds(30));
  Result<std::string> body = call.request.read_all();
  if (!body && body.error().code == Code::kLimit) {
    return send_error(
        call.writer, kTooLarge, call.request_id,
        cat("Request must be smaller than ", bytes_max, " bytes for the ", type, " operation"));
  }
  if (!body) {
    return send_error(call.writer, kBadContent, call.request_id, body.error().message);
  }
  if (body->empty()) *body = "{}";
  if (!nlohmann::json::accept(*body)) {
    return send_error(call.writer, kBadContent, call.request_id,
                      "Could not parse request body into json");
  }
  auto invocation = make_invocation(call, *function);
  invocation->event = std::move(*body);
  if (const auto context = headers.get("X-Amz-Client-Context"); context && !context->empty()) {
    const auto json = lambda::base64_decode(*context);
    if (!json || !nlohmann::json::accept(*json) || json->find_first_of("\r\n") != json->npos) {
      return send_error(call.writer, kBadContent, call.request_id,
                        "Client context must be a valid Base64-encoded JSON object.");
    }
    invocation->client_context = *json;
  }
  if (type == "DryRun") {
    (void)call.writer.send(204, {{"x-amzn-RequestId", call.request_id}}, "");
    return;
  }
  if (later) return invoke_later(call, *function, std::move(invocation));
  if (!streaming) return invoke_buffered(call, *function, invocation);
  EventStreamCaller caller(call.writer, call.request_id, headers.get("X-Amz-Log-Type") == "Tail");
  fleet_.invoke(function->name, invocation, caller);
}

void InvokeApi::invoke_buffered(Call& call, const FunctionOptions& function,
                                const std::shared_ptr<Invocation>& invocation) {
  // Answers when the end is known, before the instance is waited for.
  class Sender final : public Caller {
   public:
    Sender(Call& call, const Invocation& invocation)
        : call_(call), invocation_(invocation), buffer_(call.request_id) {}
    void begin(const AnswerHead& head) override { buffer_.begin(head); }
    void part(std::string_view bytes) override { buffer_.part(bytes); }
    void finish(const Completion& completion) override {
      buffer_.finish(completion);
      const Completion& end = buffer_.completion();
      if (end.kind == Completion::Kind::kThrottled) {
        return send_error(call_.writer, kThrottled, call_.request_id, "Rate Exceeded.");
      }
      if (end.kind == Completion::Kind::kUnavailable) {
        return send_error(call_.writer, kService, call_.request_id, end.message);
      }
      http::Fields headers{{"Content-Type", "application/json"},
                           {"x-amzn-RequestId", call_.request_id},
                           {"X-Amz-Executed-Version", "$LATEST"},
                           {"X-Amzn-Trace-Id", invocation_.trace_id}};
      if (end.failure) headers.add("X-Amz-Function-Error", "Unhandled");
      if (call_.request.headers().get("X-Amz-Log-Type") == "Tail") {
        headers.add("X-Amz-Log-Result", lambda::base64_encode(end.log_tail));
      }
      const std::string& body = end.failure ? end.failure->document : buffer_.body();
      (void)call_.writer.send(200, headers, body);
    }

   private:
    Call& call_;
    const Invocation& invocation_;
    BufferedCaller buffer_;
  };
  Sender sender(call, *invocation);
  fleet_.invoke(function.name, invocation, sender);
}

void InvokeApi::invoke_later(Call& call, const FunctionOptions& function,
                             std::shared_ptr<Invocation> invocation) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < kWaitingEventsMax) {
      waiting_.push_back({function.name, std::move(invocation)});
      changed_.notify_all();
    }
  }
  if (invocation) {  // it was not taken
    return send_error(call.writer, kThrottled, call.request_id, "Rate Exceeded.");
  }
  (void)call.writer.send(202, {{"x-amzn-RequestId", call.request_id}}, "");
}

// One event after the other; AWS's retries and destinations are not emulated.
void InvokeApi::work_off() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (ending_) {
      if (!waiting_.empty()) log_(cat("stop: ", waiting_.size(), " events were not delivered"));
      return;
    }
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    while (true) {
      BufferedCaller caller(next.invocation->request_id);
      fleet_.invoke(next.function, next.invocation, caller);
      lock.lock();
      if (caller.completion().kind != Completion::Kind::kThrottled || ending_) break;
      changed_.wait_for(lock, std::chrono::milliseconds(200), [&] { return ending_; });
      lock.unlock();
    }
  }
}

void InvokeApi::serve_url(Call& call, const FunctionOptions& function, std::string_view path) {
  call.request.set_body_limits(lambda::kPayloadBytesMax, std::chrono::seconds(30));
  const Result<std::string> body = call.request.read_all();
  const std::string too_large = cat("Request must be smaller than ", lambda::kPayloadBytesMax,
                                    " bytes for the InvokeFunction operation");
  if (!body) {
    const bool large = body.error().code == Code::kLimit;
    return send_error(call.writer, large ? kTooLarge : kBadContent, call.request_id,
                      large ? too_large : body.error().message);
  }
  auto invocation = make_invocation(call, function);
  invocation->event =
      url_event({call.request.method(), path, call.request.query(), call.request.headers(), *body,
                 call.request.peer(), call.request_id, invocation->trace_id, options_.region,
                 function.name, clock_.wall_now()});
  // Base64 makes a body larger, and it is the event that the function gets.
  if (invocation->event.size() > lambda::kPayloadBytesMax) {
    return send_error(call.writer, kTooLarge, call.request_id, too_large);
  }
  UrlCaller caller(call.writer, call.request_id, function.url_streams, log_);
  fleet_.invoke(function.name, invocation, caller);
}

std::shared_ptr<Invocation> InvokeApi::make_invocation(const Call& call,
                                                       const FunctionOptions& function) {
  auto invocation = std::make_shared<Invocation>();
  invocation->request_id = call.request_id;
  invocation->invocation_id = ids_.request_id();
  invocation->function_arn = function_arn(options_, function.name);
  const auto trace = call.request.headers().get("X-Amzn-Trace-Id");
  invocation->trace_id =
      trace && !trace->empty() ? std::string(*trace) : ids_.trace_id(clock_.wall_now());
  return invocation;
}

}  // namespace thaw::emulator
