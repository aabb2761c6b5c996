#include "runtime/emulator/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/clock.h"
#include "base/str.h"

namespace thaw::emulator {
namespace {

// What a child needs between fork and exec, all of it made before the fork: afterwards only calls
// that are safe in a signal handler are allowed, because other threads held locks when it happened.
struct Launch {
  const char* program;
  const char* directory;
  char* const* arguments;
  char* const* environment;
  int input, output, report;
  pid_t parent;
};

[[noreturn]] void give_up(int report) {
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &error, sizeof error);
  ::_exit(127);
}

[[noreturn]] void become(const Launch& launch) {
  ::setpgid(0, 0);  // a Ctrl-C at the terminal is the emulator's to handle
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int name : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::signal(name, SIG_DFL);
  if (::dup2(launch.input, 0) < 0 || ::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0 ||
      ::chdir(launch.directory) < 0) {
    give_up(launch.report);
  }
  ::execve(launch.program, launch.arguments, launch.environment);
  give_up(launch.report);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Error system_error(std::string_view what, int error) {
  return fail(Code::kIo, cat(what, ": ", std::strerror(error)));
}

// Whether a pipe has something to read, or its end. A child may be held up before its exec, by a
// file system that does not answer.
bool readable_within(int descriptor, std::chrono::milliseconds patience) {
  Clock& clock = system_clock();
  const Clock::Monotonic until = clock.now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock.now()).count();
    pollfd wait{descriptor, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(0, left)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// Open file descriptors that are closed on every way out.
struct Descriptors {
  std::array<int, 2> output{-1, -1}, report{-1, -1};
  int input = -1;
  ~Descriptors() {
    for (const int fd : {output[0], output[1], report[0], report[1], input}) {
      if (fd >= 0) ::close(fd);
    }
  }
};

}  // namespace

std::string Exit::text() const {
  if (signal == 0) return cat("exit status ", code);
  switch (signal) {
    case SIGKILL: return "signal: killed";
    case SIGTERM: return "signal: terminated";
    case SIGSEGV: return "signal: segmentation fault";
    case SIGABRT: return "signal: aborted";
    default: return cat("signal: ", signal);
  }
}

Result<std::unique_ptr<Process>> Process::start(const ProcessOptions& options) {
  const std::string what = cat("start '", options.program, "'");
  Descriptors open;
  open.input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (open.input < 0 || ::pipe2(open.output.data(), O_CLOEXEC) < 0 ||
      ::pipe2(open.report.data(), O_CLOEXEC) < 0) {
    return system_error(what, errno);
  }
  const std::vector<std::string> argument_texts = {options.program};
  const std::vector<char*> arguments = pointers(argument_texts);
  const std::vector<char*> environment = pointers(options.environment);
  const Launch launch{options.program.c_str(),
                      options.directory.c_str(),
                      arguments.data(),
                      environment.data(),
                      open.input,
                      open.output[1],
                      open.report[1],
                      ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return system_error(what, errno);
  if (pid == 0) become(launch);

  ::close(open.report[1]);
  open.report[1] = -1;
  const auto reap = [pid] {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  };
  if (!readable_within(open.report[0], options.patience)) {
    ::kill(pid, SIGKILL);
    reap();
    return fail(Code::kUnavailable, cat(what, ": it did not run within ", options.patience.count(),
                                        " ms; can its file be read?"));
  }
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(open.report[0], &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof error) {
    reap();
    if (error == ENOENT || error == ENOTDIR) return fail(Code::kNotFound, cat(what, ": not there"));
    if (error == ENOEXEC || error == EACCES) {
      return fail(Code::kUnsupported,
                  cat(what, ": ", std::strerror(error), "; it must be an executable program"));
    }
    return system_error(what, error);
  }
  ::fcntl(open.output[0], F_SETFL, O_NONBLOCK);
  const int output = std::exchange(open.output[0], -1);
  return std::unique_ptr<Process>(new Process(pid, output));
}

Process::Process(pid_t pid, int output)
    : pid_(pid), output_(output), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

Process::~Process() {
  if (!exited()) {
    kill();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (pidfd_ >= 0) ::close(pidfd_);
  ::close(output_);
}

const std::optional<Exit>& Process::exited() {
  if (exit_) return exit_;
  int status = 0;
  const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
  if (reaped != pid_) return exit_;
  Exit exit;
  if (WIFSIGNALED(status)) {
    exit.signal = WTERMSIG(status);
  } else {
    exit.code = WEXITSTATUS(status);
  }
  exit_ = exit;
  ::kill(-pid_, SIGKILL);  // what it may have left behind in its group
  return exit_;
}

void Process::terminate() {
  ::kill(-pid_, SIGTERM);
  ::kill(-pid_, SIGCONT);
}
void Process::kill() { ::kill(-pid_, SIGKILL); }
void Process::pause() { ::kill(-pid_, SIGSTOP); }
void Process::resume() { ::kill(-pid_, SIGCONT); }

std::uint64_t Process::peak_bytes() const {
  std::ifstream status(cat("/proc/", pid_, "/status"));
  std::string word;
  while (status >> word) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib << 10;
  }
  return 0;
}

}  // namespace thaw::emulator
