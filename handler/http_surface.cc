#include "handler/http_surface.h"

#include <algorithm>

#include "base/str.h"
#include "handler/cloud_events_http.h"
#include "handler/event/encoding.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"

namespace thaw::handler {
namespace {

using event::HttpRequest;
using event::HttpResponse;

enum class Action : unsigned char { kGenerate, kModels, kModel, kHealth, kReady, kMetrics };

struct Route {
  std::string_view path;
  Action action;
  Shape shape = Shape::kDirect;
};

constexpr Route kRoutes[] = {
    {"/v1/chat/completions", Action::kGenerate, Shape::kChat},
    {"/v1/completions", Action::kGenerate, Shape::kCompletion},
    {"/predict", Action::kGenerate, Shape::kDirect},
    {"/v1/models", Action::kModels},
    {"/healthz", Action::kHealth},
    {"/readyz", Action::kReady},
    {"/metrics", Action::kMetrics},
};
constexpr std::string_view kModelPrefix = "/v1/models/";

struct Match {
  Route route;
  std::string_view rest;  // of the path, behind a prefix
};

std::optional<Match> match(const HttpRequest& request) {
  for (const std::string& path : request.paths) {
    for (const Route& route : kRoutes) {
      if (route.path == path) return Match{route, {}};
    }
    if (path.size() > kModelPrefix.size() && path.starts_with(kModelPrefix)) {
      return Match{{kModelPrefix, Action::kModel},
                   std::string_view(path).substr(kModelPrefix.size())};
    }
  }
  return std::nullopt;
}

HttpResponse json_response(int status, std::string body, std::string_view request_id) {
  HttpResponse response;
  response.status = status;
  response.headers = {{"content-type", "application/json"},
                      {"x-request-id", std::string(request_id)}};
  response.body = std::move(body);
  return response;
}

ApiError refused(int status, std::string_view code, std::string message) {
  ApiError error;
  error.status = status;
  error.code = code;
  error.message = std::move(message);
  return error;
}

HttpOutcome responded(HttpResponse response) {
  HttpOutcome outcome;
  outcome.response = std::move(response);
  return outcome;
}

ApiError closed_error(const Closed& closed) {
  ApiError error = refused(503, closed.code, std::string(closed.message));
  error.type = "server_error";
  return error;
}

void add_retry_after(HttpResponse& response, std::chrono::milliseconds wait) {
  // Whole seconds are all that the standard's header has; never less than asked for.
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait);
  response.headers.emplace_back("retry-after", cat(seconds.count()));
  response.headers.emplace_back("retry-after-ms", cat(wait.count()));
}

void write_model(json::Writer& writer, const Service& service) {
  const auto since_epoch = service.clock.wall_now().time_since_epoch();
  writer.begin_object()
      .field("id", service.generator.model_name())
      .field("object", "model")
      .field("created", std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count())
      .field("owned_by", "thaw")
      .end_object();
}

HttpResponse describe(const Service& service, const Match& matched, std::string_view request_id) {
  std::string body;
  json::Writer writer(body);
  switch (matched.route.action) {
    case Action::kReady:
      if (const auto closed = service.gate.closed()) return closed_response(*closed, request_id);
      writer.begin_object().field("status", "ready").end_object();
      break;
    case Action::kModels:
      writer.begin_object().field("object", "list").key("data").begin_array();
      write_model(writer, service);
      writer.end_array().end_object();
      break;
    case Action::kModel:
      if (matched.rest != service.generator.model_name()) {
        return error_response(refused(404, "model_not_found",
                                      "model: not the one that this function serves; GET "
                                      "/v1/models names it"),
                              request_id);
      }
      write_model(writer, service);
      break;
    case Action::kMetrics: {
      HttpResponse response =
          json_response(200, service.metrics.text(service.gate.gauges()), request_id);
      response.headers.front().second = "text/plain; version=0.0.4; charset=utf-8";
      return response;
    }
    default: writer.begin_object().field("status", "ok").end_object();
  }
  return json_response(200, std::move(body), request_id);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// application/json, or a type that says it is JSON, in UTF-8.
bool is_json_type(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  const bool suffixed = type.size() > 5 && type.starts_with("application/") &&
                        event::equal_ignoring_case(type.substr(type.size() - 5), "+json");
  if (!suffixed && !event::equal_ignoring_case(type, "application/json")) return false;
  while (content_type.size() > content_type.find(';')) {
    content_type.remove_prefix(content_type.find(';') + 1);
    const std::string_view parameter = trimmed(content_type.substr(0, content_type.find(';')));
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    if (!event::equal_ignoring_case(parameter.substr(0, equals), "charset")) continue;
    std::string_view charset = parameter.substr(std::min(equals + 1, parameter.size()));
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
      charset = charset.substr(1, charset.size() - 2);
    }
    if (!event::equal_ignoring_case(charset, "utf-8")) return false;
  }
  return true;
}

ApiError too_large(const HttpRequest& request, const Manifest& manifest) {
  return refused(413, "request_too_large",
                 cat("body: ", request.body.size(), " bytes, the limit is ",
                     manifest.event_bytes_max, "; send less"));
}

// What is wrong with a POST before its body is read.
std::optional<ApiError> refuse_body(const HttpRequest& request, const Manifest& manifest) {
  if (request.body.size() > manifest.event_bytes_max) return too_large(request, manifest);
  const std::optional<std::string_view> type = request.header("content-type");
  if (type && !is_json_type(*type)) {
    return refused(415, "unsupported_media_type",
                   "content-type: found another type, wanted application/json in UTF-8");
  }
  const std::optional<std::string_view> coding = request.header("content-encoding");
  if (coding && !event::equal_ignoring_case(trimmed(*coding), "identity")) {
    return refused(415, "unsupported_content_encoding",
                   "content-encoding: compressed bodies are not supported; send plain JSON");
  }
  return std::nullopt;
}

StreamHead stream_head(Shape shape, std::string_view request_id) {
  StreamHead head;
  head.content_type = stream_content_type(shape);
  StreamHead::Http http;
  http.headers = {{"content-type", head.content_type},
                  {"cache-control", "no-cache"},
                  {"x-request-id", std::string(request_id)}};
  head.http = std::move(http);
  return head;
}

HttpOutcome generate(const Service& service, Shape shape, const HttpRequest& request,
                     const InvocationContext& context, Responder& responder) {
  if (const std::optional<Closed> closed = service.gate.closed()) {
    return responded(closed_response(*closed, context.request_id));
  }
  if (const std::optional<ApiError> error = refuse_body(request, service.manifest)) {
    return responded(error_response(*error, context.request_id));
  }
  Result<json::Document> document = json::Document::parse(request.body);
  if (!document) {
    return responded(error_response(
        refused(400, "invalid_json", cat("body: ", document.error().message)), context.request_id));
  }
  std::variant<Request, FieldError> read =
      read_request(shape, document->root(), service.manifest, seed_of(context.request_id));
  if (const auto* wrong = std::get_if<FieldError>(&read)) {
    return responded(error_response(api_error(*wrong), context.request_id));
  }
  Request& asked = std::get<Request>(read);
  set_deadline(asked.generation, context, service.clock);
  const bool can_stream =
      request.can_stream && responder.can_stream() && !service.manifest.buffered;
  const Delivery delivery = !asked.stream ? Delivery::kWhole
                            : can_stream  ? Delivery::kStream
                                          : Delivery::kBufferedStream;
  const StreamHead head = stream_head(shape, context.request_id);
  Ran ran =
      run(service, asked, answer_head(service, shape, asked, context), delivery, head, responder);
  HttpOutcome outcome;
  outcome.streamed = ran.streamed;
  outcome.usage = ran.usage;
  outcome.phases = ran.phases;
  outcome.timing = ran.timing;
  if (ran.streamed) {
    if (ran.error) outcome.error = invocation_error(*ran.error);
  } else if (ran.error && ran.body.empty()) {
    outcome.response = error_response(*ran.error, context.request_id);
  } else {
    outcome.response = json_response(200, std::move(ran.body), context.request_id);
    if (delivery == Delivery::kBufferedStream) outcome.response.headers = head.http->headers;
    if (!ran.timing.empty()) outcome.response.headers.emplace_back("server-timing", ran.timing);
  }
  return outcome;
}

}  // namespace

HttpResponse error_response(const ApiError& error, std::string_view request_id) {
  HttpResponse response = json_response(error.status, error_body(error), request_id);
  if (error.status == 503) add_retry_after(response, std::chrono::seconds(1));
  return response;
}

HttpResponse closed_response(const Closed& closed, std::string_view request_id) {
  HttpResponse response = json_response(503, error_body(closed_error(closed)), request_id);
  add_retry_after(response, closed.retry_after);
  return response;
}

namespace {

HttpOutcome take_cloud_event(const Service& service, const HttpRequest& request,
                             const InvocationContext& context) {
  if (const std::optional<Closed> closed = service.gate.closed()) {
    return responded(closed_response(*closed, context.request_id));
  }
  if (request.body.size() > service.manifest.event_bytes_max) {
    return responded(error_response(too_large(request, service.manifest), context.request_id));
  }
  return answer_cloud_event(service, request, context);
}

HttpOutcome answer_route(const Service& service, const Match& matched, const HttpRequest& request,
                         const InvocationContext& context, Responder& responder) {
  const bool generates = matched.route.action == Action::kGenerate;
  const std::string_view allow = generates ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
  if (request.method == "OPTIONS") {
    HttpResponse response = json_response(204, "", context.request_id);
    response.headers.front() = {"allow", std::string(allow)};  // no body, so no content-type
    return responded(std::move(response));
  }
  if (generates && request.method == "POST") {
    return generate(service, matched.route.shape, request, context, responder);
  }
  if (!generates && (request.method == "GET" || request.method == "HEAD")) {
    HttpResponse response = describe(service, matched, context.request_id);
    if (request.method == "HEAD") response.body.clear();
    return responded(std::move(response));
  }
  HttpResponse response = error_response(
      refused(405, "method_not_allowed", cat("method: not one of this path's, ", allow)),
      context.request_id);
  response.headers.emplace_back("allow", allow);
  return responded(std::move(response));
}

}  // namespace

HttpOutcome answer_http(const Service& service, const HttpRequest& request,
                        const InvocationContext& context, Responder& responder) {
  const std::optional<Match> matched = match(request);
  // A broker delivers to whatever address it was given; ours are for requests.
  if (!matched && request.method == "POST" && is_cloud_event(request)) {
    HttpOutcome answered = take_cloud_event(service, request, context);
    service.metrics.http_answered("cloudevents", answered.response.status);
    return answered;
  }
  HttpOutcome outcome =
      matched ? answer_route(service, *matched, request, context, responder)
              : responded(error_response(
                    refused(404, "unknown_url",
                            "path: not one of this function's, which are POST "
                            "/v1/chat/completions, POST /v1/completions, POST /predict, GET "
                            "/v1/models, GET /healthz, GET /readyz, GET /metrics"),
                    context.request_id));
  // Scrapers' and probes' own requests would drown the rest.
  if (!matched || matched->route.action == Action::kGenerate) {
    const int status = outcome.streamed ? 200 : outcome.response.status;
    service.metrics.http_answered(matched ? matched->route.path : "other", status);
  }
  return outcome;
}

}  // namespace thaw::handler
