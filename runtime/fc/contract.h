// Alibaba Function Compute's contract for custom runtimes and containers: its calls, by
// x-fc-control-path, are answered as its documentation says.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "handler/handler.h"
#include "handler/manifest.h"
#include "runtime/web/service.h"

namespace thaw::fc {

inline constexpr std::uint16_t kPort = 9000;  // where FC_CUSTOM_LISTEN_PORT names no other
// FC gives an instance this long to listen.
inline constexpr std::chrono::milliseconds kOpeningTimeMax{120'000};

// Whole lines on stdout that FC's console and log service look for. Thread-safe.
using Lines = std::function<void(std::string_view line)>;

// What is told apart of a request.
enum class Call : std::uint8_t { kInvoke, kHttpInvoke, kInitialize, kPreFreeze, kPreStop };
// By the control path; by method and path where there is none.
Call call_of(const http::Request& request);

// /initialize: 200, as the function is open by then. /invoke: the event's answer, 200, or a
// failure: 404 with x-fc-status: 404 and {"errorType", "errorMessage"}. /http-invoke: the
// function's HTTP surface, x-fc-status: 404 where the function is at fault (500 and above, but for
// 503). /pre-stop: takes no more requests, waits for those in flight, 200. /pre-freeze: 200. What
// it is given outlives the answer.
web::Answer answer(handler::Handler& handler, const handler::Manifest& manifest,
                   web::Service& service, Clock& clock, Lines lines);

// Answers everything with the failure that kept the function from opening.
web::Answer failure(const Error& error, Lines lines);

}  // namespace thaw::fc
