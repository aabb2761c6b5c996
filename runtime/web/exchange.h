// Between the HTTP server's requests and answers and the handler's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "handler/answer.h"
#include "handler/event/http_message.h"
#include "handler/handler.h"
#include "runtime/http/server.h"

namespace thaw::web {

// The request as handlers know it, its body read whole. The path's one reading is the path as it
// came, decoded. Errors: as http::Request::read_some().
Result<event::HttpRequest> read_request(http::Request& request, std::size_t body_bytes_max);

// What a client is told of a request that could not be read: 413, 408, 400.
event::HttpResponse unreadable_response(const Error& error, std::string_view request_id);

// A handler's answer, sent whole. What cannot be sent is lost with its connection.
void send(http::ResponseWriter& writer, const event::HttpResponse& response);

// Streams to an HTTP client.
class HttpResponder final : public handler::Responder {
 public:
  // `content_type`: of streams that have no HTTP head of their own.
  explicit HttpResponder(http::ResponseWriter& writer) : writer_(writer) {}
  bool can_stream() const override { return true; }
  Result<Done> begin(const handler::StreamHead& head) override;
  Result<Done> write(std::string_view bytes) override { return writer_.write(bytes); }
  bool alive() override;

  // Whether somebody asked while nobody waited for the answer any more: it was cut short then.
  bool was_gone() const { return was_gone_; }
  bool begun() const { return begun_; }

 private:
  http::ResponseWriter& writer_;
  bool begun_ = false;
  bool was_gone_ = false;
};

// A request answered by the handler, its stream ended, and a line of its phases logged. An answer
// that was cut short because its client had gone is not sent.
void answer(handler::Handler& handler, const event::HttpRequest& request,
            const handler::InvocationContext& context, http::ResponseWriter& writer);

}  // namespace thaw::web
