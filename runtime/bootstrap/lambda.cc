// AWS Lambda: what its loop is given.
#include <signal.h>

#include <atomic>

#include "base/clock.h"
#include "base/log.h"
#include "handler/handler.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/transport.h"

namespace thaw::bootstrap {
namespace {

// Read by the handler of SIGTERM, to which nothing can be handed.
std::atomic<lambda::Loop*> running_loop{nullptr};

void on_terminate(int) {
  if (lambda::Loop* loop = running_loop) loop->stop();
}

void catch_terminate() {
  struct sigaction action {};
  action.sa_handler = on_terminate;
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a peer that closes is an error of the write, not the end of us
}

// What Lambda is told of a function that cannot start: its message, and a type in Lambda's form.
handler::InvocationError init_error(const Error& error) {
  const char* type =
      error.code == Code::kNotFound ? "Runtime.NoSuchSnapshot" : "Runtime.SnapshotNotUsable";
  return {type, error.message};
}

}  // namespace

int run_lambda(const Settings& settings, const Environment& environment) {
  const lambda::Connect connect = lambda::connect_to(settings.runtime_api);
  auto function = open_function(settings);
  if (!function) {
    log_error(function.error().message);
    const auto reported = lambda::report_init_error(connect, init_error(function.error()));
    if (!reported) log_error(reported.error().message);
    return kFailed;
  }
  Clock& clock = system_clock();
  handler::Handler handler((*function)->generator(), (*function)->manifest(), clock);
  lambda::LoopOptions options;
  options.trace_id = [&](std::string_view id) {
    environment.set("_X_AMZN_TRACE_ID", std::string(id));
  };
  auto loop = lambda::Loop::create(
      connect,
      [&](std::string_view event, const handler::InvocationContext& context,
          handler::Responder& responder) { return handler.handle(event, context, responder); },
      clock, std::move(options));
  if (!loop) {
    log_error(loop.error().message);
    return kFailed;
  }
  running_loop = loop->get();
  catch_terminate();
  const lambda::Ending ending = (*loop)->run();
  running_loop = nullptr;
  return ending == lambda::Ending::kStopped ? 0 : kFailed;
}

}  // namespace thaw::bootstrap
