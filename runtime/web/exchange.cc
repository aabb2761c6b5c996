#include "runtime/web/exchange.h"

#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/http_fields.h"
#include "handler/http_surface.h"

namespace thaw::web {
namespace {

http::Fields fields_of(const event::Pairs& headers) {
  http::Fields fields;
  for (const auto& [name, value] : headers) fields.add(name, value);
  return fields;
}

}  // namespace

Result<event::HttpRequest> read_request(http::Request& request, std::size_t body_bytes_max) {
  event::HttpRequest read;
  read.method = request.method();
  event::add_path(read, request.path());
  read.query = event::parse_query(request.query());
  for (const http::Field& field : request.headers()) {
    read.headers.emplace_back(field.name, field.value);
  }
  request.limit_body(body_bytes_max);
  THAW_TRY(body, request.read_all());
  read.body = std::move(body);
  return read;
}

event::HttpResponse unreadable_response(const Error& error, std::string_view request_id) {
  handler::ApiError told;
  told.message = error.message;
  switch (error.code) {
    case Code::kLimit:
      told.status = 413;
      told.code = "request_too_large";
      break;
    case Code::kDeadline:
      told.status = 408;
      told.code = "request_too_slow";
      break;
    default: told.code = "malformed_request"; break;
  }
  return handler::error_response(told, request_id);
}

void send(http::ResponseWriter& writer, const event::HttpResponse& response) {
  const Result<Done> sent =
      writer.send(response.status, fields_of(response.headers), response.body);
  if (!sent && sent.error().code == Code::kInvalid) {
    log_error(cat("answer a request: ", sent.error().message));
  }
}

Result<Done> HttpResponder::begin(const handler::StreamHead& head) {
  begun_ = true;
  if (head.http) return writer_.begin(head.http->status, fields_of(head.http->headers));
  return writer_.begin(200, {{"content-type", head.content_type}});
}

bool HttpResponder::alive() {
  was_gone_ = was_gone_ || writer_.cancelled();
  return !was_gone_;
}

void answer(handler::Handler& handler, const event::HttpRequest& request,
            const handler::InvocationContext& context, http::ResponseWriter& writer) {
  HttpResponder responder(writer);
  const handler::HttpOutcome outcome = handler.handle_http(request, context, responder);
  if (!outcome.timing.empty()) log_info(cat("timings ", context.request_id, ": ", outcome.timing));
  if (outcome.error) {
    log_warn(cat("stream ", context.request_id, ": ", outcome.error->type, ": ",
                 outcome.error->message));
  }
  if (responder.was_gone()) {
    writer.abort();
  } else if (responder.begun()) {
    (void)writer.end();  // one that cannot be ended has lost its client
  } else {
    send(writer, outcome.response);
  }
}

}  // namespace thaw::web
