#include "base/bus_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace thaw {
namespace {

// What a fault replaces by zeros at once: one page would do, but a file that lost a gigabyte would
// then fault a quarter of a million times.
constexpr std::uintptr_t kReplacedBytes = 2u << 20;
constexpr std::uintptr_t kPageBytes = 4096;

struct Range {
  std::atomic<bool> taken{false};
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> broken{false};
};
std::array<Range, BusGuarded::kRangesMax> ranges;
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);

// Runs in a signal handler: atomics and system calls, nothing else.
bool replace_by_zeros(std::uintptr_t at) {
  for (Range& range : ranges) {
    const std::uintptr_t begin = range.begin.load(std::memory_order_acquire);
    const std::uintptr_t end = range.end.load(std::memory_order_acquire);
    if (at < begin || at >= end) continue;
    const std::uintptr_t from = at & ~(kPageBytes - 1);
    const std::uintptr_t stop = (at | (kReplacedBytes - 1)) + 1;
    const std::uintptr_t until = stop < end ? stop : (end + kPageBytes - 1) & ~(kPageBytes - 1);
    range.broken.store(true, std::memory_order_release);
    return ::mmap(reinterpret_cast<void*>(from), until - from, PROT_READ,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int, siginfo_t* info, void*) {
  const int saved = errno;
  if (!replace_by_zeros(reinterpret_cast<std::uintptr_t>(info->si_addr))) {
    // Not ours: the instruction runs again and now ends the process.
    ::signal(SIGBUS, SIG_DFL);
  }
  errno = saved;
}

}  // namespace

void install_bus_guard() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

BusGuarded::BusGuarded(Bytes range) : slot_(kRangesMax) {
  if (range.empty()) return;
  for (std::size_t slot = 0; slot < kRangesMax; ++slot) {
    if (ranges[slot].taken.exchange(true, std::memory_order_acq_rel)) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
    ranges[slot].broken.store(false, std::memory_order_relaxed);
    ranges[slot].begin.store(begin, std::memory_order_release);
    ranges[slot].end.store(begin + range.size(), std::memory_order_release);
    slot_ = slot;
    return;
  }
}

BusGuarded::~BusGuarded() {
  if (slot_ == kRangesMax) return;
  ranges[slot_].end.store(0, std::memory_order_release);
  ranges[slot_].begin.store(0, std::memory_order_release);
  ranges[slot_].taken.store(false, std::memory_order_release);
}

bool BusGuarded::is_broken() const {
  return slot_ != kRangesMax && ranges[slot_].broken.load(std::memory_order_acquire);
}

}  // namespace thaw
