// Alibaba Function Compute, custom runtimes and custom containers.
#include <cstdio>
#include <mutex>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/fc/contract.h"
#include "runtime/web/run.h"

namespace thaw::bootstrap {

int run_fc(const Settings& settings) {
  std::mutex mutex;  // one line at a time
  const fc::Lines lines = [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    std::fprintf(stdout, "%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);
  };
  web::RunOptions options = web_options(settings);
  options.service.opening_time_max = fc::kOpeningTimeMax;
  web::RunParts parts;
  parts.open = [&] { return open_function(settings); };
  parts.answer = [&](handler::Handler& handler, const handler::Function& function,
                     web::Service& service) {
    return fc::answer(handler, function.manifest(), service, system_clock(), lines);
  };
  parts.failure = [&](const Error& error) { return fc::failure(error, lines); };
  parts.ready = [](const web::Service& service, const handler::Function& function) {
    log_info(cat("serving ", function.manifest().name, " on port ", service.port()));
  };
  const Result<Done> done = web::run(options, parts);
  if (done) return 0;
  log_error(done.error().message);
  return kFailed;
}

}  // namespace thaw::bootstrap
