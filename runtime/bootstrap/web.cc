// Plain HTTP: Knative, Cloud Run, Azure's custom handlers, OpenFaaS's of-watchdog.
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/web/plain.h"
#include "runtime/web/run.h"

namespace thaw::bootstrap {

int run_web(const Settings& settings) {
  web::RunParts parts;
  parts.open = [&] { return open_function(settings); };
  parts.answer = [&](handler::Handler& handler, const handler::Function& function, web::Service&) {
    return web::plain_answer(handler, function.manifest(), system_clock(),
                             {settings.web.request_time_max, settings.web.azure});
  };
  parts.ready = [](const web::Service& service, const handler::Function& function) {
    log_info(cat("serving ", function.manifest().name, " on port ", service.port()));
  };
  const Result<Done> done = web::run(web_options(settings), parts);
  if (done) return 0;
  log_error(done.error().message);
  return kFailed;
}

}  // namespace thaw::bootstrap
