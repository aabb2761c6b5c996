// AWS Lambda: what its loop is given.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "handler/handler.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/lambda/extension.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/metrics_line.h"
#include "runtime/lambda/restore.h"
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

lambda::LoopOptions loop_options(const LambdaSettings& settings, const Environment& environment,
                                 const std::string& model_name) {
  lambda::LoopOptions options;
  options.trace_id = [&](std::string_view id) {
    environment.set("_X_AMZN_TRACE_ID", std::string(id));
  };
  if (!settings.metrics) return options;
  const lambda::MetricsLabels labels{settings.function_name, settings.function_version, model_name};
  options.invoked = [labels, cold = true](const lambda::Invoked& invoked) mutable {
    print_line(lambda::metrics_line(labels, invoked, std::exchange(cold, false),
                                    system_clock().wall_now()));
  };
  return options;
}

}  // namespace

int run_lambda(const Settings& settings, const Environment& environment) {
  const lambda::Connect connect = lambda::connect_to(settings.runtime_api);
  // Beside the rest of the start, so that it costs it nothing.
  const auto extension = lambda::Extension::start(connect, system_clock());
  auto function = open_function(settings);
  if (!function) {
    log_error(function.error().message);
    const auto reported = lambda::report_init_error(connect, init_error(function.error()));
    if (!reported) log_error(reported.error().message);
    return kFailed;
  }
  Clock& clock = system_clock();
  handler::Handler handler((*function)->generator(), (*function)->manifest(), clock);
  auto loop = lambda::Loop::create(
      connect,
      [&](std::string_view event, const handler::InvocationContext& context,
          handler::Responder& responder) { return handler.handle(event, context, responder); },
      clock, loop_options(settings.lambda, environment, (*function)->manifest().name));
  if (!loop) {
    log_error(loop.error().message);
    return kFailed;
  }
  running_loop = loop->get();
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
  const lambda::Ending ending = (*loop)->run();
  running_loop = nullptr;
  return ending == lambda::Ending::kStopped ? 0 : kFailed;
}

}  // namespace thaw::bootstrap
