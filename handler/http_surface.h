// The function as an HTTP service: POST /predict, OpenAI's /v1 paths, health, readiness, metrics.
// Knows requests and answers of HTTP, not what carried them: event adapters and HTTP servers use
// the same.
#pragma once

#include <optional>

#include "handler/event/http_message.h"
#include "handler/handler.h"
#include "handler/run.h"

namespace thaw::handler {

// Every mistake of the client's, and every failure before the first byte, is a response.
HttpOutcome answer_http(const Service& service, const event::HttpRequest& request,
                        const InvocationContext& context, Responder& responder);

// A response that carries an error, with the headers that every response has.
event::HttpResponse error_response(const ApiError& error, std::string_view request_id);

}  // namespace thaw::handler
