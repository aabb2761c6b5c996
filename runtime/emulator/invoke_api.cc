#include "runtime/emulator/invoke_api.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/aws_error.h"
#include "runtime/emulator/callers.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/function_reference.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

// Whether a body of this type may hold the JSON that an event is. AWS takes JSON's own types; what
// curl sends for -d when nobody says otherwise, and what SDKs send for bytes, pass as well.
bool may_be_json(std::string_view type) {
  const std::string name = lower_case(type.substr(0, type.find(';')));
  for (const std::string_view taken :
       {"", "application/json", "text/json", "application/octet-stream", "binary/octet-stream",
        "application/x-www-form-urlencoded"}) {
    if (name == taken) return true;
  }
  return name.starts_with("application/") && name.ends_with("+json");
}

}  // namespace

InvokeApi::InvokeApi(Fleet& fleet, AsyncQueue& queue, const Options& options, Clock& clock,
                     Ids& ids, LogSink log)
    : fleet_(fleet),
      queue_(queue),
      options_(options),
      clock_(clock),
      ids_(ids),
      log_(std::move(log)) {}

bool InvokeApi::serve(Call& call) {
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

// The event; nothing where there is none, and the caller has heard why.
std::optional<std::string> InvokeApi::read_event(Call& call, std::string_view type,
                                                 std::size_t bytes_max) {
  const auto refuse = [&](const AwsError& error, std::string_view message) {
    send_error(call.writer, error, call.request_id, message);
    return std::nullopt;
  };
  if (!may_be_json(call.request.headers().get("Content-Type").value_or(""))) {
    return refuse(kBadMedia, "The content type of the Invoke request body is not JSON.");
  }
  call.request.set_body_limits(bytes_max, std::chrono::seconds(30));
  Result<std::string> body = call.request.read_all();
  if (!body && body.error().code == Code::kLimit) {
    return refuse(kTooLarge, cat("Request must be smaller than ", bytes_max, " bytes for the ",
                                 type, " operation"));
  }
  if (!body) return refuse(kBadContent, body.error().message);
  if (body->empty()) *body = "{}";
  if (!nlohmann::json::accept(*body)) {
    return refuse(kBadContent, "Could not parse request body into json");
  }
  return std::move(*body);
}

void InvokeApi::invoke(Call& call, std::string_view encoded_name, bool streaming) {
  const http::Fields& headers = call.request.headers();
  const auto reference =
      parse_function_reference(percent_decode(encoded_name, false),
                               query_value(call.request.query(), "Qualifier").value_or(""));
  if (!reference) {
    return send_error(call.writer, kBadReference, call.request_id, reference.error().message);
  }
  const FunctionOptions* function = fleet_.find(reference->name);
  if (function == nullptr) {
    return send_error(call.writer, kNotFound, call.request_id,
                      cat("Function not found: ", function_arn(options_, reference->name)));
  }
  const std::string type(headers.get("X-Amz-Invocation-Type").value_or("RequestResponse"));
  const bool later = type == "Event" && !streaming;
  if (type != "RequestResponse" && type != "DryRun" && !later) {
    return send_error(call.writer, kBadParameter, call.request_id,
                      "Value at 'invocationType' failed to satisfy constraint: Member must satisfy "
                      "enum value set: [Event, RequestResponse, DryRun]");
  }
  auto event = read_event(call, type, later ? kAsyncBytesMax : lambda::kPayloadBytesMax);
  if (!event) return;
  auto invocation = make_invocation(call, options_, *function, ids_, clock_);
  invocation->event = std::move(*event);
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
  if (later) return invoke_later(call, *function, *invocation, reference->qualifier);
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
      if (end.kind == Completion::Kind::kLost) return call_.writer.abort();
      if (end.kind == Completion::Kind::kThrottled) {
        return send_throttled(call_.writer, end, call_.request_id);
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
                             const Invocation& invocation, std::string_view qualifier) {
  const auto accepted = queue_.accept(event_of(invocation, function, qualifier));
  if (accepted) {
    return (void)call.writer.send(202, {{"x-amzn-RequestId", call.request_id}}, "");
  }
  if (accepted.error().code != Code::kUnavailable) log_(accepted.error().message);
  const bool full = accepted.error().code == Code::kLimit;
  send_error(call.writer, full ? kQueueFull : kService, call.request_id,
             full ? "Rate Exceeded." : "The event could not be kept; nothing was accepted.");
}

}  // namespace thaw::emulator
