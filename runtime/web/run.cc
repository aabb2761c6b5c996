#include "runtime/web/run.h"

#include <csignal>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

namespace thaw::web {

Result<Done> run(const RunOptions& options, const RunParts& parts) {
  // Blocked before any thread starts, so that only sigwait() below gets them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that closes is an error of the write

  THAW_TRY(service, Service::start(options.service));
  Result<std::unique_ptr<handler::Function>> opened = parts.open();
  if (!opened) {
    if (parts.failure) service->open(parts.failure(opened.error()), nullptr);
    service->drain();
    return std::move(opened.error());
  }
  const std::unique_ptr<handler::Function>& function = *opened;
  THAW_TRY(shared, function->share(options.shared));
  handler::HandlerOptions with;
  with.gate = service.get();
  handler::Handler handler(function->generator(), function->manifest(), system_clock(), with);
  service->open(parts.answer(handler, *function, *service), shared);
  if (parts.ready) parts.ready(*service, *function);
  int signal = 0;
  sigwait(&ending, &signal);
  log_info(cat("signal ", signal, ": taking no more requests, finishing those in flight"));
  // A second one cuts what is in flight, as a person at a terminal wants it.
  pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
  if (!service->drain()) log_warn("drain: time ran out; answers in flight were cut");
  return Done{};
}

}  // namespace thaw::web
