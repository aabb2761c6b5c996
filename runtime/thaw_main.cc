// `thaw`: everything that is not answering an event. Builds the house and hands things down; the
// only place of this program that reads its environment.

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/bus_guard.h"
#include "base/log.h"
#include "base/str.h"
#include "base/thread_pool.h"
#include "runtime/cli/cli.h"

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where a program keeps what outlives its run, by the XDG base directories.
std::string state_directory() {
  if (const std::string own = variable("XDG_STATE_HOME"); own.starts_with('/'))
    return own + "/thaw";
  if (const std::string home = variable("HOME"); home.starts_with('/')) {
    return home + "/.local/state/thaw";
  }
  return thaw::cat("/tmp/thaw-", getuid());
}

int refuse(const std::string& message) {
  std::fprintf(stderr, "thaw: %s\n", message.c_str());
  return 2;
}

std::string directory_of_program() {
  char path[4096];
  const ssize_t count = readlink("/proc/self/exe", path, sizeof path);
  const std::string all(path, count < 0 ? 0 : static_cast<std::size_t>(count));
  const std::size_t slash = all.rfind('/');
  return slash == std::string::npos ? "." : all.substr(0, slash);
}

}  // namespace

int main(int count, char** words) {
  using namespace thaw;
  const Clock::Monotonic entered = system_clock().now();
  const std::vector<std::string> arguments(words + 1, words + count);
  cli::Context context{system_files(), system_clock(), stdout, stderr};
  context.entered = entered;
  context.launched = handler::launcher_stamp(variable("THAW_STARTED_NS"));
  context.shows_progress = isatty(STDERR_FILENO) != 0;
  context.kernels = variable("THAW_KERNELS");
  context.program_directory = directory_of_program();
  context.state_directory = state_directory();
  const std::string threads = variable("THAW_THREADS");
  if (!threads.empty()) {
    const char* end = threads.data() + threads.size();
    const auto parsed = std::from_chars(threads.data(), end, context.threads);
    if (parsed.ec != std::errc() || parsed.ptr != end || context.threads == 0 ||
        context.threads > ThreadPool::kThreadsMax) {
      return refuse(
          cat("THAW_THREADS '", threads, "': wanted a number from 1 to ", ThreadPool::kThreadsMax));
    }
  }
  if (const std::string name = variable("THAW_VERIFY"); !name.empty()) {
    const auto parsed = snapshot::parse_verify(name);
    if (!parsed) return refuse(parsed.error().message);
    context.verify = *parsed;
  }
  if (const std::string name = variable("THAW_PAGING"); !name.empty()) {
    const auto parsed = snapshot::parse_paging(name);
    if (!parsed) return refuse(parsed.error().message);
    context.paging = *parsed;
  }
  install_bus_guard();
  LogLevel level = LogLevel::kInfo;
  if (const std::string name = variable("THAW_LOG"); !name.empty()) {
    const auto parsed = parse_log_level(name);
    if (!parsed) return refuse(cat("THAW_LOG: ", parsed.error().message));
    level = *parsed;
  }
  set_up_log(level, LogFormat::kText);
  return cli::main(arguments, std::move(context));
}
