#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/str.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/emulate_session.h"
#include "runtime/cli/emulate_sources.h"
#include "runtime/emulator/faults.h"

namespace thaw::cli {
namespace {

constexpr std::string_view kSuffix = ".thaw";

std::string name_of_snapshot(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  // Names of functions are narrower than names of files.
  for (char& c : name) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!fits) c = '-';
  }
  return name;
}

// What every function gets, whoever names it.
emulator::FunctionOptions function_options(const std::string& path,
                                           const EmulateArguments& arguments,
                                           const Context& context) {
  emulator::FunctionOptions function;
  function.name = name_of_snapshot(path);
  function.snapshot = path;
  function.memory_mb = arguments.memory_megabytes;
  function.timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(arguments.timeout_seconds * 1000));
  function.url_streams = arguments.invoke_mode == "response_stream";
  function.snap_start = arguments.snap_start;
  function.pool.instances_max = arguments.concurrency;
  function.pool.provisioned = arguments.provisioned;
  function.pool.invocations_per_instance = arguments.instance_concurrency;
  function.pool.keep_alive = warmpool::FixedTime{
      std::chrono::milliseconds(static_cast<std::int64_t>(arguments.keep_alive_seconds * 1000))};
  if (!context.kernels.empty()) function.environment.push_back("THAW_KERNELS=" + context.kernels);
  if (context.threads != 0) function.environment.push_back(cat("THAW_THREADS=", context.threads));
  return function;
}

// What happens to instances, and on purpose.
Result<Done> set_lifecycle(const EmulateArguments& arguments, emulator::Options& options) {
  options.extensions = arguments.extensions;
  options.freezes = !arguments.no_freeze;
  options.always_cold = arguments.cold;
  options.drop_cache = arguments.drop_cache;
  options.log_format =
      arguments.log_format == "json" ? emulator::LogFormat::kJson : emulator::LogFormat::kText;
  options.fault_seed = arguments.seed;
  for (const std::string& text : arguments.faults) {
    THAW_TRY(fault, emulator::parse_fault(text));
    options.faults.push_back(fault);
  }
  return Done{};
}

}  // namespace

Result<Done> emulate(const EmulateArguments& arguments, const Context& context) {
  const bool once = !arguments.event.empty();
  emulator::Options options;
  options.bootstrap = arguments.bootstrap.empty() ? cat(context.program_directory, "/bootstrap")
                                                  : arguments.bootstrap;
  options.port = static_cast<std::uint16_t>(once ? 0 : arguments.port);
  // One shot leaves nothing behind that another would need.
  const std::string own =
      once ? cat("/emulate-once-", ::getpid()) : cat("/emulate-", arguments.port);
  options.state_directory =
      arguments.state.empty() ? context.state_directory + own : arguments.state;
  options.retry_scale = arguments.retry_scale;
  const auto make = [&](const std::string& path) {
    return function_options(path, arguments, context);
  };
  THAW_TRY(sources, read_sources(arguments, make, context, options));
  THAW_TRY_DO(set_lifecycle(arguments, options));
  for (const std::string& note : sources.notes) {
    std::fprintf(context.err, "%s\n", note.c_str());
  }
  if (!once) {
    // The live view reads keys, which are a queue's lines where that is stdin.
    const bool typed = std::any_of(sources.queues.begin(), sources.queues.end(),
                                   [](const auto& queue) { return queue.path == "-"; });
    return run_session(std::move(options), sources, {arguments.plain || typed, arguments.json},
                       context);
  }
  const std::string state = options.state_directory;
  const Result<Done> done = run_once(std::move(options), arguments.event, context);
  std::error_code ignored;
  if (arguments.state.empty()) std::filesystem::remove_all(state, ignored);
  return done;
}

}  // namespace thaw::cli
