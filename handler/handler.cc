#include "handler/handler.h"

#include <exception>
#include <variant>

#include "base/str.h"
#include "handler/event/adapter.h"
#include "handler/event/cbor.h"
#include "handler/event/json.h"
#include "handler/http_surface.h"
#include "handler/records.h"
#include "handler/run.h"

namespace thaw::handler {
namespace {

using json::Value;

constexpr std::string_view kHandled =
    "this function answers {\"prompt\"} or {\"messages\"}, HTTP events and those of queues, "
    "topics, "
    "streams and schedules; see handler/EVENTS.md";

constexpr const char* kOutOfMemory = "event: memory ran out; send less, or allow more memory";

Outcome failed(std::string type, std::string message) {
  Outcome outcome;
  outcome.error = InvocationError{std::move(type), std::move(message)};
  return outcome;
}

Outcome invalid(std::string message) {
  return failed("Function.InvalidRequest", std::move(message));
}

// An escaped body doubles at most, and its envelope is small, so that what is larger than this is
// refused unread.
std::size_t unread_limit(const Manifest& manifest) {
  return 2 * std::size_t{manifest.event_bytes_max} + (64u << 10);
}

Outcome too_large(std::size_t bytes, std::size_t most) {
  return failed("Function.RequestTooLarge",
                cat("event: ", bytes, " bytes, the limit is ", most, "; send less"));
}

Outcome answer_direct(const Service& service, const Value& event, const InvocationContext& context,
                      Responder& responder) {
  std::variant<Request, FieldError> read =
      read_request(Shape::kDirect, event, service.manifest, seed_of(context.request_id));
  if (const auto* wrong = std::get_if<FieldError>(&read)) {
    return invalid(cat("event ", wrong->message));
  }
  Request& asked = std::get<Request>(read);
  set_deadline(asked.generation, context, service.clock);
  // An answer that is not streamed is one JSON document, which is what Invoke promises.
  const bool stream = asked.stream && responder.can_stream() && !service.manifest.buffered;
  StreamHead head;
  head.content_type = stream_content_type(Shape::kDirect);
  Ran ran = run(service, asked, answer_head(service, Shape::kDirect, asked, context),
                stream ? Delivery::kStream : Delivery::kWhole, head, responder);
  Outcome outcome;
  outcome.streamed = ran.streamed;
  outcome.body = std::move(ran.body);
  if (ran.streamed) outcome.content_type = head.content_type;
  if (ran.error) outcome.error = invocation_error(*ran.error);
  outcome.usage = ran.usage;
  outcome.phases = ran.phases;
  outcome.timing = std::move(ran.timing);
  return outcome;
}

Outcome answer_http_event(const Service& service, const event::HttpSource& source,
                          const Value& event, const InvocationContext& context,
                          Responder& responder) {
  Result<event::HttpRequest> request = source.read(event);
  HttpOutcome answered;
  if (request) {
    answered = answer_http(service, *request, context, responder);
  } else {
    answered.response = error_response(api_error(request.error()), context.request_id);
  }
  Outcome outcome;
  outcome.streamed = answered.streamed;
  outcome.error = std::move(answered.error);
  outcome.usage = answered.usage;
  outcome.phases = answered.phases;
  outcome.timing = std::move(answered.timing);
  if (!answered.streamed) {
    outcome.body = source.write(request ? *request : event::HttpRequest{}, answered.response);
  }
  return outcome;
}

Outcome refuse(const Value& event) {
  const std::string source = event::unhandled_source(event);
  if (!source.empty()) {
    return failed("Function.UnsupportedEvent",
                  cat("event '", source, "': not handled by this function; ", kHandled));
  }
  if (!event.is_object()) {
    return failed("Function.UnsupportedEvent", cat("event: found ", json::name_of(event.type()),
                                                   ", wanted an object; ", kHandled));
  }
  const std::string names = event::field_names(event);
  return failed("Function.UnsupportedEvent",
                cat("event: not recognised; found ", names.empty() ? "no fields" : "fields ", names,
                    "; ", kHandled));
}

// `source`: told what the event turned out to be.
Outcome dispatch(const Service& service, std::string_view event, const InvocationContext& context,
                 Responder& responder, std::string_view& source) {
  if (event.size() > unread_limit(service.manifest)) {
    return too_large(event.size(), service.manifest.event_bytes_max);
  }
  std::string converted;
  if (event::looks_like_cbor(event)) {
    Result<std::string> json = event::cbor_to_json(event);
    if (!json) return invalid(cat("event: ", json.error().message));
    converted = std::move(*json);
    event = converted;
  }
  const Result<json::Document> document = json::Document::parse(event);
  if (!document) return invalid(cat("event: ", document.error().message));
  const Value root = document->root();
  if (const event::Adapter* adapter = event::find_adapter(root)) {
    source = adapter->source;
    return adapter->http != nullptr
               ? answer_http_event(service, *adapter->http, root, context, responder)
               : answer_records(service, *adapter, root, context);
  }
  const bool direct = root["prompt"] || root["messages"];
  if (!direct) return refuse(root);
  if (event.size() > service.manifest.event_bytes_max) {
    return too_large(event.size(), service.manifest.event_bytes_max);
  }
  source = "direct";
  return answer_direct(service, root, context, responder);
}

// Counts an invocation from its begin to its end, however it ends.
class Counted {
 public:
  explicit Counted(Metrics& metrics) : metrics_(metrics) { metrics_.invocation_began(); }
  ~Counted() { metrics_.invocation_ended(source_, failed_); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  void end(std::string_view source, bool failed) {
    source_ = source;
    failed_ = failed;
  }

 private:
  Metrics& metrics_;
  std::string_view source_ = "unknown";
  bool failed_ = true;
};

}  // namespace

Handler::Handler(Generator& generator, const Manifest& manifest, Clock& clock,
                 const HandlerOptions& options)
    : generator_(generator),
      manifest_(manifest),
      clock_(clock),
      gate_(options.gate == nullptr ? always_open_ : *options.gate),
      files_(options.files == nullptr ? system_files() : *options.files) {}

Outcome Handler::handle(std::string_view event, const InvocationContext& context,
                        Responder& responder) {
  // The one thing that may throw is memory that has run out; the invocation fails, not the process.
  try {
    Counted counted(metrics_);
    const Service service{generator_, manifest_, clock_, gate_, files_, metrics_};
    std::string_view source = "unknown";
    Outcome outcome = dispatch(service, event, context, responder, source);
    counted.end(source, outcome.error.has_value());
    return outcome;
  } catch (const std::exception&) {
    return failed("Function.OutOfMemory", kOutOfMemory);
  }
}

HttpOutcome Handler::handle_http(const event::HttpRequest& request,
                                 const InvocationContext& context, Responder& responder) {
  try {
    Counted counted(metrics_);
    const Service service{generator_, manifest_, clock_, gate_, files_, metrics_};
    HttpOutcome outcome = answer_http(service, request, context, responder);
    counted.end("http", outcome.error.has_value());
    return outcome;
  } catch (const std::exception&) {
    HttpOutcome outcome;
    outcome.response = error_response(api_error(fail(Code::kIo, kOutOfMemory)), context.request_id);
    return outcome;
  }
}

}  // namespace thaw::handler
