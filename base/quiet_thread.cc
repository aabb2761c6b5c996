#include "base/quiet_thread.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace thaw {
namespace {

constexpr int kOfFaults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};

}  // namespace

std::thread quiet_thread(std::function<void()> work) {
  sigset_t blocked;
  sigfillset(&blocked);
  for (const int signal : kOfFaults) sigdelset(&blocked, signal);
  // A thread begins with the mask of the one that starts it.
  struct Masked {
    explicit Masked(const sigset_t& mask) { pthread_sigmask(SIG_SETMASK, &mask, &before); }
    ~Masked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
    sigset_t before;
  };
  const Masked masked(blocked);
  return std::thread(std::move(work));
}

}  // namespace thaw
