// The real programs, run as a person runs them.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/http/client.h"

namespace thaw::end_to_end {

// What a finished program left.
struct Finished {
  int code = -1;
  std::string out, err;
};

// Runs `thaw` with these words and the environment "NAME=value" beside this process's own. What it
// prints goes to `device` where that is given, and is not in what it left.
Finished run_thaw(const std::vector<std::string>& words,
                  const std::vector<std::string>& environment = {},
                  const std::string& device = {});

// A snapshot of `source` in the tests' temporary folder, made once a process; with this system
// message, where it is not empty.
std::string snapshot_of(const std::string& source, const std::string& system = {});
// The model that `make model` fetches; fails the test where it is missing.
std::string smollm2();
// A small committed model of random weights.
std::string tiny_model();

// `thaw emulate` of one snapshot, until destroyed.
class Emulated {
 public:
  // `bootstrap`: another program to start in place of the one that was built.
  explicit Emulated(const std::string& snapshot, std::vector<std::string> more = {});
  ~Emulated();
  Emulated(const Emulated&) = delete;
  Emulated& operator=(const Emulated&) = delete;

  const std::string& authority() const { return authority_; }
  const std::string& name() const { return name_; }
  std::string log() const;
  // The processes that the emulator has started and that still run.
  std::vector<pid_t> instances() const;

  // Invokes the function with an event.
  http::Response invoke(const std::string& event);
  // A request to its function URL; parts get each piece of the body as it came.
  http::Response url(const std::string& method, const std::string& target, const std::string& body,
                     std::vector<std::string>* parts = nullptr);

 private:
  std::string log_path_, authority_, name_;
  pid_t process_ = -1;
};

// One of the two programs behind a port, from its first 200 on /readyz until destroyed.
class Served {
 public:
  enum class Program : unsigned char { kThaw, kBootstrap };
  Served(Program program, const std::string& snapshot, std::vector<std::string> environment = {});
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  const std::string& authority() const { return authority_; }
  pid_t process() const { return process_; }
  std::string log() const;     // what it wrote to stderr
  std::string output() const;  // and to stdout
  // Signals it and gives its exit code; 128 and more: it was killed.
  int stop(int signal = SIGTERM);

 private:
  std::string log_path_, authority_;
  pid_t process_ = -1;
};

}  // namespace thaw::end_to_end
