// An emulator in a process of its own, to be killed: emulator_host BOOTSTRAP SNAPSHOT STATE, prints
// its port and runs until a signal ends it. Functions "chat" and "other".
#include <signal.h>

#include <cstdio>

#include "runtime/emulator/emulator.h"

int main(int count, char** words) {
  using namespace thaw;
  if (count != 4) return 2;
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  emulator::Options options;
  options.bootstrap = words[1];
  options.port = 0;
  options.state_directory = words[3];
  options.retry_scale = 0.001;
  for (const char* name : {"chat", "other"}) {
    emulator::FunctionOptions function;
    function.name = name;
    function.snapshot = words[2];
    function.pool.instances_max = 4;
    options.functions.push_back(function);
  }
  const auto log = [](std::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  auto emulator = emulator::Emulator::start(options, system_clock(), log);
  if (!emulator) {
    std::fprintf(stderr, "%s\n", emulator.error().message.c_str());
    return 1;
  }
  std::printf("%d\n", (*emulator)->port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
  (*emulator)->stop();
  return 0;
}
