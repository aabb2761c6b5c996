// CloudEvents over HTTP, as Knative's and others' brokers deliver them: binary, structured,
// batched.
#pragma once

#include "handler/event/http_message.h"
#include "handler/handler.h"
#include "handler/run.h"

namespace thaw::handler {

// By the content type, or the headers of the binary mode.
bool is_cloud_event(const event::HttpRequest& request);

// Answered in the mode that it came in. An event that cannot be answered is an HTTP error, which
// the broker retries or puts aside; of a batch, each has an event of its own.
HttpOutcome answer_cloud_event(const Service& service, const event::HttpRequest& request,
                               const InvocationContext& context);

}  // namespace thaw::handler
