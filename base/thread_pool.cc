#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/patience.h"
#include "base/quiet_thread.h"

namespace thaw {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kPausesPerLook = 16;  // between looks at the clock, which cost more than a pause
constexpr std::size_t kCacheLine = 64;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // what others call yield is a no-op on these cores
#endif
}

// Sleeps while `word` is `expected`; may return early, so the caller looks again.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word, int count) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// Spins until `ready()`, false where patience ran out first.
template <class Ready>
bool spin_until(internal::Patience& patience, const Ready& ready) {
  const auto until = SteadyClock::now() + patience.spin();
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (ready()) {
        patience.succeeded();
        return true;
      }
      pause();
    }
  } while (SteadyClock::now() < until);
  patience.failed();
  return false;
}

}  // namespace

// How a loop is shared. run() writes `work` and `tasks`, then the count of tasks not yet claimed.
// Whoever takes one off that count has claimed a task; the loop cannot end before the task is
// reported in `unfinished`, so what it reads after the claim is this loop's, however late it came.
struct ThreadPool::State {
  alignas(kCacheLine) std::atomic<std::int64_t> unclaimed{0};  // below 0: claims that came too late
  alignas(kCacheLine) std::atomic<std::int64_t> unfinished{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> epoch{0};  // loops so far; what workers park on
  std::atomic<std::uint32_t> parked_workers{0};
  std::atomic<std::uint32_t> caller_parked{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> aside_waits{false};  // `aside` is there for whoever takes it
  std::atomic<bool> aside_goes_on{false};
  std::function<void()> aside;
  const std::function<void(std::size_t, unsigned)>* work = nullptr;
  std::int64_t tasks = 0;
  internal::Patience caller_patience;
  std::vector<std::thread> workers;

  // Claims tasks and does them until there are none; returns how many it did.
  std::int64_t work_on(unsigned thread) {
    std::int64_t done = 0;
    while (unclaimed.load(std::memory_order_relaxed) > 0) {
      const std::int64_t left = unclaimed.fetch_sub(1, std::memory_order_acq_rel);
      if (left <= 0) break;
      (*work)(static_cast<std::size_t>(tasks - left), thread);
      ++done;
    }
    return done;
  }

  void report(std::int64_t done) {
    if (done == 0) return;
    if (unfinished.fetch_sub(done, std::memory_order_seq_cst) != done) return;
    // The last one. The caller may be gone already; then this wakes its next wait for nothing.
    if (caller_parked.load(std::memory_order_seq_cst) != 0) {
      caller_parked.store(0, std::memory_order_seq_cst);
      futex_wake(caller_parked, 1);
    }
  }

  void worker_main(unsigned thread) {
    internal::Patience patience;
    const auto called = [&] {
      return unclaimed.load(std::memory_order_relaxed) > 0 ||
             aside_waits.load(std::memory_order_relaxed) ||
             stopping.load(std::memory_order_relaxed);
    };
    while (!stopping.load(std::memory_order_acquire)) {
      report(work_on(thread));
      take_aside();
      if (spin_until(patience, called)) continue;
      // A loop that starts after this look changes the epoch, so that the wait returns at once; one
      // that started before it is seen by called().
      const std::uint32_t seen = epoch.load(std::memory_order_seq_cst);
      parked_workers.fetch_add(1, std::memory_order_seq_cst);
      if (!called()) futex_wait(epoch, seen);
      parked_workers.fetch_sub(1, std::memory_order_seq_cst);
    }
    take_aside();
  }

  void take_aside() {
    if (!aside_waits.load(std::memory_order_relaxed)) return;
    if (!aside_waits.exchange(false, std::memory_order_acquire)) return;
    aside();
    aside_goes_on.store(false, std::memory_order_release);
  }

  void wake_workers(std::int64_t wanted) {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    const auto parked = static_cast<std::int64_t>(parked_workers.load(std::memory_order_seq_cst));
    if (parked > 0) futex_wake(epoch, static_cast<int>(std::min(parked, wanted)));
  }

  void wait_for_the_rest() {
    const auto all_done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
    if (all_done() || spin_until(caller_patience, all_done)) return;
    for (;;) {
      caller_parked.store(1, std::memory_order_seq_cst);
      if (unfinished.load(std::memory_order_seq_cst) == 0) break;
      futex_wait(caller_parked, 1);
    }
    caller_parked.store(0, std::memory_order_relaxed);
  }
};

ThreadPool::ThreadPool(unsigned threads) : state_(std::make_unique<State>()) {
  THAW_CHECK(threads >= 1 && threads <= kThreadsMax);
  state_->workers.reserve(threads - 1);
  try {
    for (unsigned thread = 1; thread < threads; ++thread) {
      state_->workers.push_back(
          quiet_thread([state = state_.get(), thread] { state->worker_main(thread); }));
    }
  } catch (const std::system_error&) {
    // The system lends no more threads: slower, but right.
  }
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(true, std::memory_order_seq_cst);
  state_->wake_workers(kThreadsMax);
  for (std::thread& worker : state_->workers) worker.join();
}

unsigned ThreadPool::threads() const { return static_cast<unsigned>(state_->workers.size()) + 1; }

void ThreadPool::run(std::size_t tasks,
                     const std::function<void(std::size_t task, unsigned thread)>& work) {
  State& state = *state_;
  if (tasks <= 1 || state.workers.empty()) {
    for (std::size_t task = 0; task < tasks; ++task) work(task, 0);
    return;
  }
  const auto count = static_cast<std::int64_t>(tasks);
  state.work = &work;
  state.tasks = count;
  state.unfinished.store(count, std::memory_order_relaxed);
  state.unclaimed.store(count, std::memory_order_seq_cst);
  state.wake_workers(count - 1);
  state.report(state.work_on(0));
  state.wait_for_the_rest();
}

bool ThreadPool::run_aside(std::function<void()> work) {
  State& state = *state_;
  if (state.workers.empty() || state.aside_goes_on.load(std::memory_order_acquire)) return false;
  state.aside = std::move(work);
  state.aside_goes_on.store(true, std::memory_order_relaxed);
  state.aside_waits.store(true, std::memory_order_seq_cst);
  state.wake_workers(1);
  return true;
}

}  // namespace thaw
