// Requests of plain HTTP platforms (Knative, Cloud Run, OpenFaaS's of-watchdog, any that sets PORT)
// and of people.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "handler/handler.h"
#include "handler/manifest.h"
#include "runtime/web/service.h"

namespace thaw::web {

struct PlainOptions {
  // An answer ends before this much time has passed since its request's head; absent: no limit.
  // OpenFaaS's X-Timeout may say less.
  std::optional<std::chrono::milliseconds> request_time_max;
  // An Azure custom handler: paths may begin with "/api", and a request may be an invocation in
  // Azure's own envelope (azure.h).
  bool azure = false;
};

// A request's id is its X-Request-Id or OpenFaaS's X-Call-Id. POST / is POST /predict, unless it
// is a CloudEvent. What it is given outlives the answer.
Answer plain_answer(handler::Handler& handler, const handler::Manifest& manifest, Clock& clock,
                    const PlainOptions& options);

// A duration as Go writes it, "1m30s", "250ms"; nothing where it is none, or longer than a day.
std::optional<std::chrono::milliseconds> go_duration(std::string_view text);

}  // namespace thaw::web
