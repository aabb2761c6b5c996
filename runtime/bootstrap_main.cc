// `bootstrap`: opens one snapshot and answers a platform's events until it is told to end. Builds
// the house and hands things down; the only place of this program that reads or writes its
// environment.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bus_guard.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory_limit.h"
#include "base/str.h"
#include "base/thread_pool.h"
#include "handler/function.h"
#include "handler/handler.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/transport.h"

namespace {

using namespace thaw;

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

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

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Settings {
  std::string runtime_api;  // host:port; empty: not on Lambda
  std::string snapshot;     // THAW_SNAPSHOT
  std::string task_root;
  std::string handler_name;
  std::optional<std::uint64_t> memory_bytes;  // AWS_LAMBDA_FUNCTION_MEMORY_SIZE
  handler::FunctionOptions function;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

Result<Settings> read_settings() {
  Settings settings;
  settings.runtime_api = variable("AWS_LAMBDA_RUNTIME_API");
  settings.snapshot = variable("THAW_SNAPSHOT");
  settings.task_root = variable("LAMBDA_TASK_ROOT");
  settings.handler_name = variable("_HANDLER");
  settings.function.kernels = variable("THAW_KERNELS");
  if (const std::string threads = variable("THAW_THREADS"); !threads.empty()) {
    const char* end = threads.data() + threads.size();
    const auto parsed = std::from_chars(threads.data(), end, settings.function.threads);
    if (parsed.ec != std::errc() || parsed.ptr != end || settings.function.threads == 0 ||
        settings.function.threads > ThreadPool::kThreadsMax) {
      return fail(Code::kInvalid, cat("THAW_THREADS '", threads, "': wanted a number from 1 to ",
                                      ThreadPool::kThreadsMax));
    }
  }
  std::uint64_t megabytes = 0;
  const std::string memory = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
  if (std::from_chars(memory.data(), memory.data() + memory.size(), megabytes).ec == std::errc() &&
      megabytes < (std::uint64_t{1} << 32)) {
    settings.memory_bytes = megabytes << 20;
  }
  settings.function.launched = handler::launcher_stamp(variable("THAW_STARTED_NS"));
  if (const std::string verify = variable("THAW_VERIFY"); !verify.empty()) {
    THAW_TRY(parsed, snapshot::parse_verify(verify));
    settings.function.verify = parsed;
  }
  if (const std::string paging = variable("THAW_PAGING"); !paging.empty()) {
    THAW_TRY(parsed, snapshot::parse_paging(paging));
    settings.function.paging = parsed;
  }
  if (const std::string level = variable("THAW_LOG"); !level.empty()) {
    THAW_TRY(parsed, parse_log_level(level));
    settings.log_level = parsed;
  }
  if (variable("AWS_LAMBDA_LOG_FORMAT") == "JSON") settings.log_format = LogFormat::kJson;
  return settings;
}

// THAW_SNAPSHOT, else _HANDLER under LAMBDA_TASK_ROOT, with or without ".thaw".
Result<std::string> find_snapshot(const Settings& settings) {
  if (!settings.snapshot.empty()) return settings.snapshot;
  if (settings.handler_name.empty()) {
    return fail(Code::kNotFound,
                "find the snapshot: neither THAW_SNAPSHOT nor _HANDLER is set; set one of them to "
                "a snapshot's name");
  }
  const std::string& root = settings.task_root;
  const std::string plain =
      root.empty() ? settings.handler_name : cat(root, "/", settings.handler_name);
  for (const std::string& path : {plain, plain + ".thaw"}) {
    const auto found = system_files().stat(path);
    if (found && !found->is_directory) return path;
  }
  return fail(Code::kNotFound, cat("find the snapshot: neither '", plain, "' nor '", plain,
                                   ".thaw' is there; set _HANDLER or THAW_SNAPSHOT to one"));
}

// What Lambda is told of a function that cannot start: its message, and a type in Lambda's form.
handler::InvocationError init_error(const Error& error) {
  const char* type =
      error.code == Code::kNotFound ? "Runtime.NoSuchSnapshot" : "Runtime.SnapshotNotUsable";
  return {type, error.message};
}

Result<std::unique_ptr<handler::Function>> open_function(const Settings& settings) {
  THAW_TRY(path, find_snapshot(settings));
  return handler::Function::open(system_files(), path, settings.function);
}

// Says before the first token what would else show as slowness, or as an end without a word.
void warn_of_memory(const handler::Function& function, std::optional<std::uint64_t> platform) {
  const auto cgroup = cgroup_memory_limit();
  if (!platform && !cgroup) return;
  const std::uint64_t limit = std::min(platform.value_or(UINT64_MAX), cgroup.value_or(UINT64_MAX));
  if (const std::string warning = function.memory_warning(limit); !warning.empty()) {
    log_warn(warning);
  }
}

int run_lambda(const Settings& settings) {
  const lambda::Connect connect = lambda::connect_to(settings.runtime_api);
  auto function = open_function(settings);
  if (!function) {
    log_error(function.error().message);
    const auto reported = lambda::report_init_error(connect, init_error(function.error()));
    if (!reported) log_error(reported.error().message);
    return kFailed;
  }
  for (const std::string& warning : (*function)->prefixes().warnings()) log_warn(warning);
  warn_of_memory(**function, settings.memory_bytes);
  Clock& clock = system_clock();
  handler::Handler handler((*function)->generator(), (*function)->manifest(), clock);
  lambda::LoopOptions options;
  options.trace_id = [](std::string_view id) {
    if (id.empty()) {
      unsetenv("_X_AMZN_TRACE_ID");
    } else {
      setenv("_X_AMZN_TRACE_ID", std::string(id).c_str(), 1);
    }
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

}  // namespace

int main() {
  const Clock::Monotonic entered = system_clock().now();
  auto settings = read_settings();
  if (!settings) {
    std::fprintf(stderr, "bootstrap: %s\n", settings.error().message.c_str());
    return kWrongUsage;
  }
  settings->function.entered = entered;
  set_up_log(settings->log_level, settings->log_format);
  install_bus_guard();
  if (settings->runtime_api.empty()) {
    std::fprintf(stderr,
                 "bootstrap: AWS_LAMBDA_RUNTIME_API is not set: this is no Lambda environment; "
                 "try `thaw emulate SNAPSHOT`, which makes one\n");
    return kWrongUsage;
  }
  return run_lambda(*settings);
}
