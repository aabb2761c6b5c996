// What CloudEvents over HTTP share with those that come as JSON: cloud_events.cc, and
// handler/cloud_events_http.h.
#pragma once

#include <cstddef>

#include "handler/event/adapter.h"
#include "handler/event/http_message.h"

namespace thaw::event {

// The context attributes of the event that answers one, in order.
Pairs answer_attributes(const RecordResult& result, std::size_t index, const AnswerFrame& frame);

}  // namespace thaw::event
