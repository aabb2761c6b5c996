// A child process with an environment of its own, whose output comes back through a pipe, and which
// does not outlive the thread that started it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace thaw::emulator {

struct ProcessOptions {
  std::string program;                   // a path
  std::string directory;                 // to run in
  std::vector<std::string> environment;  // "NAME=value", the whole of it
  std::chrono::milliseconds patience = std::chrono::seconds(10);  // until the program runs
};

// How a process ended.
struct Exit {
  int code = 0;    // where signal is 0
  int signal = 0;  // 0: it exited by itself
  // "exit status 1", "signal: killed"; as AWS spells them.
  std::string text() const;
};

// Must be made, waited for and destroyed by one thread, which must live as long as it does: the
// kernel kills the child when that thread ends (PR_SET_PDEATHSIG), which is what makes children die
// with the emulator, however it dies. terminate(), kill(), pause(), resume() and pid() may be
// called by any thread until exited() has a value.
class Process {
 public:
  // stdout and stderr go to one pipe, in the order written. stdin is /dev/null.
  // Errors: kNotFound     no such program
  //         kUnsupported  not an executable of this machine
  //         kUnavailable  it did not run in time: its file cannot be read now
  //         kIo           anything else
  static Result<std::unique_ptr<Process>> start(const ProcessOptions& options);
  // Kills and reaps it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  int output() const { return output_; }  // non-blocking; readable when there is some
  // Readable when the process has ended; -1 where the kernel has no such thing, and then exited()
  // must be asked now and then.
  int ended() const { return pidfd_; }

  // Reaps it if it has ended; does not block.
  const std::optional<Exit>& exited();
  // To its whole process group:
  void terminate();  // SIGTERM, and SIGCONT lest it sleep through it
  void kill();       // SIGKILL
  void pause();      // SIGSTOP
  void resume();     // SIGCONT

  // The most memory it had resident, files mapped included; 0 where that cannot be known.
  std::uint64_t peak_bytes() const;

 private:
  Process(pid_t pid, int output);
  pid_t pid_;
  int output_;
  int pidfd_;
  std::optional<Exit> exit_;
};

}  // namespace thaw::emulator
