// AWS Lambda: what its loop is given.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "handler/handler.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/lambda/crew.h"
#include "runtime/lambda/extension.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/metrics_line.h"
#include "runtime/lambda/restore.h"
#include "runtime/lambda/transport.h"

namespace thaw::bootstrap {
namespace {

struct Terminable {
  lambda::Crew* crew;
  lambda::LoopGate* gate;
};

// Read by the handler of SIGTERM, to which nothing can be handed.
std::atomic<const Terminable*> running{nullptr};

void on_terminate(int) {
  const Terminable* const end = running;
  if (end == nullptr) return;
  end->gate->drain();
  end->crew->stop();
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

// Where the platform reads metrics. A line that cannot be written is lost, which is all there is to
// do about it.
void print_line(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

// `cold` outlives the options.
lambda::LoopOptions loop_options(const LambdaSettings& settings, const Environment& environment,
                                 const std::string& model_name, std::atomic<bool>& cold) {
  lambda::LoopOptions options;
  if (settings.concurrency == 1) {  // a process has one environment
    options.trace_id = [&](std::string_view id) {
      environment.set("_X_AMZN_TRACE_ID", std::string(id));
    };
  }
  if (!settings.metrics) return options;
  const lambda::MetricsLabels labels{settings.function_name, settings.function_version, model_name};
  options.invoked = [labels, &cold](const lambda::Invoked& invoked) {
    print_line(
        lambda::metrics_line(labels, invoked, cold.exchange(false), system_clock().wall_now()));
  };
  return options;
}

// Opened, and made ready for as many callers as the platform sends at once.
Result<std::unique_ptr<handler::Function>> open_for(const Settings& settings) {
  THAW_TRY(function, open_function(settings));
  if (settings.lambda.concurrency > 1) {
    handler::SharedOptions shared;
    // No loop is ever refused: each has one call at a time.
    shared.waiting_max = std::min(settings.lambda.concurrency, lambda::Crew::kLoopsMax);
    shared.active_max = std::min(shared.active_max, shared.waiting_max);
    THAW_TRY_DO(function->share(shared));
  }
  return std::move(function);
}

int fail_init(const lambda::Connect& connect, const Error& error) {
  log_error(error.message);
  const auto reported = lambda::report_init_error(connect, init_error(error));
  if (!reported) log_error(reported.error().message);
  return kFailed;
}

}  // namespace

int run_lambda(const Settings& settings, const Environment& environment) {
  const lambda::Connect connect = lambda::connect_to(settings.runtime_api);
  // Beside the rest of the start, so that it costs it nothing.
  const auto extension = lambda::Extension::start(connect, system_clock());
  const auto function = open_for(settings);
  if (!function) return fail_init(connect, function.error());
  Clock& clock = system_clock();
  lambda::LoopGate gate(settings.lambda.concurrency);
  handler::HandlerOptions handler_options;
  handler_options.gate = &gate;
  handler::Handler handler((*function)->generator(), (*function)->manifest(), clock,
                           handler_options);
  std::atomic<bool> cold{true};
  const auto crew = lambda::Crew::create(
      settings.lambda.concurrency, connect,
      [&](std::string_view event, const handler::InvocationContext& context,
          handler::Responder& responder) {
        gate.began();
        handler::Outcome outcome = handler.handle(event, context, responder);
        gate.ended();
        return outcome;
      },
      clock, loop_options(settings.lambda, environment, (*function)->manifest().name, cold));
  if (!crew) return fail_init(connect, crew.error());
  const Terminable terminable{crew->get(), &gate};
  running = &terminable;
  catch_terminate();
  extension->wait_registered();
  if (settings.lambda.snap_start) {
    const auto restored =
        lambda::wait_for_restore(connect, [&] { return (*function)->restored(clock); });
    if (!restored) {
      log_error(restored.error().message);
      return kFailed;
    }
  }
  const lambda::Ending ending = (*crew)->run();
  running = nullptr;
  return ending == lambda::Ending::kStopped ? 0 : kFailed;
}

}  // namespace thaw::bootstrap
