#include <csignal>
#include <mutex>

#include "base/str.h"
#include "runtime/cli/commands.h"
#include "runtime/emulator/emulator.h"

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

// The snapshot, or all of a directory's.
Result<std::vector<std::string>> snapshots_at(const std::string& path, Files& files) {
  THAW_TRY(entry, files.stat(path));
  if (!entry.is_directory) return std::vector<std::string>{path};
  THAW_TRY(list, files.list(path));
  std::vector<std::string> snapshots;
  for (const DirectoryEntry& file : list) {
    if (!file.is_directory && file.name.ends_with(kSuffix)) {
      snapshots.push_back(cat(path, "/", file.name));
    }
  }
  if (snapshots.empty()) {
    return fail(Code::kNotFound, cat("emulate '", path,
                                     "': no .thaw file in this directory; make one with 'thaw "
                                     "freeze'"));
  }
  return snapshots;
}

void print_banner(const emulator::Emulator& emulator, const emulator::Options& options,
                  std::FILE* err) {
  const std::string at = emulator.authority();
  const std::string& name = options.functions.front().name;
  std::fprintf(err, "emulating %zu function%s on http://%s; Ctrl-C ends it\n",
               options.functions.size(), options.functions.size() == 1 ? "" : "s", at.c_str());
  for (const emulator::FunctionOptions& function : options.functions) {
    std::fprintf(err, "  %-24s function URL http://%s/url/%s/\n", function.name.c_str(), at.c_str(),
                 function.name.c_str());
  }
  std::fprintf(err,
               "behind API Gateway, a load balancer, Function Compute: /http/NAME/ "
               "/rest/NAME/Prod/ /alb/NAME/ /fc/NAME/\n");
  std::fprintf(err,
               "try\n  curl http://%s/2015-03-31/functions/%s/invocations -d '{\"prompt\":"
               "\"Hello\"}'\n  curl -N http://%s/url/%s/v1/chat/completions -H 'content-type: "
               "application/json' \\\n    -d '{\"stream\":true,\"messages\":[{\"role\":\"user\","
               "\"content\":\"Hello\"}]}'\n",
               at.c_str(), name.c_str(), at.c_str(), name.c_str());
}

}  // namespace

Result<Done> emulate(const EmulateArguments& arguments, const Context& context) {
  THAW_TRY(snapshots, snapshots_at(arguments.path, context.files));
  emulator::Options options;
  options.bootstrap = arguments.bootstrap.empty() ? cat(context.program_directory, "/bootstrap")
                                                  : arguments.bootstrap;
  options.port = static_cast<std::uint16_t>(arguments.port);
  options.state_directory = arguments.state.empty()
                                ? cat(context.state_directory, "/emulate-", arguments.port)
                                : arguments.state;
  options.retry_scale = arguments.retry_scale;
  for (const std::string& path : snapshots) {
    emulator::FunctionOptions function;
    function.name = name_of_snapshot(path);
    function.snapshot = path;
    function.memory_mb = arguments.memory_megabytes;
    function.timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(arguments.timeout_seconds * 1000));
    function.url_streams = arguments.invoke_mode == "response_stream";
    function.pool.instances_max = arguments.concurrency;
    if (!context.kernels.empty()) function.environment.push_back("THAW_KERNELS=" + context.kernels);
    if (context.threads != 0) function.environment.push_back(cat("THAW_THREADS=", context.threads));
    options.functions.push_back(std::move(function));
  }
  // Blocked before any thread starts, so that only sigwait() below gets them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that closes is an error of the write

  std::mutex mutex;
  const auto log = [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    std::fprintf(context.err, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  THAW_TRY(emulator, emulator::Emulator::start(options, context.clock, log));
  print_banner(*emulator, options, context.err);
  int signal = 0;
  sigwait(&ending, &signal);
  emulator->stop();
  return Done{};
}

}  // namespace thaw::cli
