#include "runtime/web/azure.h"

#include <string>
#include <utility>

#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/http_fields.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"
#include "runtime/web/exchange.h"
#include "runtime/web/request_id.h"

namespace thaw::web {
namespace {

using json::Value;

constexpr std::string_view kPrefix = "/api";

// Nothing of an envelope can be streamed.
class NoResponder final : public handler::Responder {
 public:
  bool can_stream() const override { return false; }
  Result<Done> begin(const handler::StreamHead&) override { return unsupported(); }
  Result<Done> write(std::string_view) override { return unsupported(); }

 private:
  static Error unsupported() { return fail(Code::kUnsupported, "stream: not in an envelope"); }
};

// Where an envelope's URL has its path begin, and its query.
std::string_view behind_host(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t path = url.find_first_of("/?", host);
  return path == std::string_view::npos ? std::string_view() : url.substr(path);
}

// {"Name": ["value", ...]} or {"name": "value"}.
void add_pairs(const Value& map, event::Pairs& to) {
  for (const Value member : map) {
    if (member.is_string()) to.emplace_back(member.key(), member.text());
    for (const Value each : member) {
      if (each.is_string()) to.emplace_back(member.key(), each.text());
    }
  }
}

event::HttpRequest request_of(const Value& bound) {
  event::HttpRequest request;
  request.method = bound["Method"].text();
  const std::string_view target = behind_host(bound["Url"].text());
  add_azure_path(request, target.substr(0, target.find('?')));
  if (bound["Query"].is_object()) {
    add_pairs(bound["Query"], request.query);
  } else if (const std::size_t query = target.find('?'); query != std::string_view::npos) {
    request.query = event::parse_query(target.substr(query + 1));
  }
  add_pairs(bound["Headers"], request.headers);
  const Value body = bound["Body"];
  request.body = body.is_string() ? std::string(body.text())
                                  : (body.is_nothing() ? std::string() : json::to_text(body));
  return request;
}

// A trigger's value as a direct event: an object, or text that may be JSON or a string in it.
std::string event_of(const Value& bound) {
  if (!bound.is_string()) return json::to_text(bound);
  const Result<json::Document> inner = json::Document::parse(bound.text());
  if (inner && inner->root().is_object()) return std::string(bound.text());
  if (inner && inner->root().is_string()) {
    const std::string_view text = inner->root().text();
    const Result<json::Document> innermost = json::Document::parse(text);
    if (innermost && innermost->root().is_object()) return std::string(text);
    std::string event;
    json::Writer(event).begin_object().field("prompt", text).end_object();
    return event;
  }
  std::string event;
  json::Writer(event).begin_object().field("prompt", bound.text()).end_object();
  return event;
}

event::HttpResponse json_response(int status, std::string body) {
  return {status, {{"content-type", "application/json"}}, std::move(body)};
}

event::HttpResponse answer_http(handler::Handler& handler, const Value& bound,
                                const handler::InvocationContext& context) {
  NoResponder responder;
  const handler::HttpOutcome outcome = handler.handle_http(request_of(bound), context, responder);
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("Outputs").begin_object().key("res").begin_object();
  writer.field("statusCode", outcome.response.status);
  event::write_headers(writer, outcome.response.headers);
  writer.field("body", outcome.response.body).end_object().end_object();
  writer.key("Logs").begin_array().end_array().key("ReturnValue").null().end_object();
  return json_response(200, std::move(body));
}

event::HttpResponse answer_trigger(handler::Handler& handler, const Value& bound,
                                   const handler::InvocationContext& context) {
  NoResponder responder;
  const handler::Outcome outcome = handler.handle(event_of(bound), context, responder);
  std::string body;
  json::Writer writer(body);
  writer.begin_object().key("Outputs").begin_object().end_object().key("Logs").begin_array();
  if (outcome.error) writer.value(cat(outcome.error->type, ": ", outcome.error->message));
  writer.end_array().key("ReturnValue");
  if (outcome.error || outcome.body.empty()) {
    writer.null();
  } else {
    writer.raw(outcome.body);
  }
  writer.end_object();
  return json_response(outcome.error ? 500 : 200, std::move(body));
}

}  // namespace

bool is_azure_invocation(const event::HttpRequest& request) {
  if (request.method != "POST" || request.body.find("\"Data\"") == std::string::npos) return false;
  const Result<json::Document> document = json::Document::parse(request.body);
  if (!document) return false;
  const Value root = document->root();
  return root["Data"].is_object() && root["Metadata"].is_object();
}

event::HttpResponse answer_azure(handler::Handler& handler, const event::HttpRequest& request,
                                 const handler::InvocationContext& context) {
  const Result<json::Document> document = json::Document::parse(request.body);
  if (!document) return unreadable_response(document.error(), context.request_id);
  const Value root = document->root();
  handler::InvocationContext inner = context;
  // The host's own name of the invocation.
  const std::string_view guid = root["Metadata"]["sys"]["RandGuid"].text();
  if (is_request_id(guid)) inner.request_id = guid;
  for (const Value bound : root["Data"]) {
    if (bound["Method"].is_string() && bound["Url"].is_string()) {
      return answer_http(handler, bound, inner);
    }
  }
  return answer_trigger(handler, root["Data"].at(0), inner);
}

void add_azure_path(event::HttpRequest& request, std::string_view path) {
  const bool has_prefix = path.starts_with(kPrefix) && path.substr(kPrefix.size()).starts_with('/');
  if (has_prefix) event::add_path(request, path.substr(kPrefix.size()));
  event::add_path(request, path);
}

}  // namespace thaw::web
