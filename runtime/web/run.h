// From a port to the end of an instance, the same for every platform that sends HTTP.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "handler/function.h"
#include "handler/handler.h"
#include "handler/shared_generator.h"
#include "runtime/web/service.h"

namespace thaw::web {

struct RunOptions {
  ServiceOptions service;
  handler::SharedOptions shared;
};

struct RunParts {
  std::function<Result<std::unique_ptr<handler::Function>>()> open;
  // What answers requests, made when the function is open.
  std::function<Answer(handler::Handler&, const handler::Function&, Service&)> answer;
  // What answers those that waited for a function that cannot be opened; empty: 503.
  std::function<Answer(const Error&)> failure;
  // Told once requests are taken; may be empty.
  std::function<void(const Service&, const handler::Function&)> ready;
};

// Listens, opens the function meanwhile, answers until SIGTERM or SIGINT, drains. Call it before
// the program has another thread: these signals are blocked in all of them.
// Errors: as Service::start(), SharedGenerator::start() and `open`.
Result<Done> run(const RunOptions& options, const RunParts& parts);

}  // namespace thaw::web
