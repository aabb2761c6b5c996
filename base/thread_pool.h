// A fixed set of threads that share loops. Made for steps of some microseconds, hundreds a token.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace thaw {

// The processors that this process may really use: the affinity mask, bounded by the cgroup's CPU
// quota rounded up; at least 1.
unsigned usable_processors();

// Runs loops over worker threads and the caller's own. The caller waits by spinning a bounded time
// and then on a futex, and so do idle workers, so that a machine with fewer processors than threads
// (or a cgroup quota) slows down no more than its share. One thread at a time may call run().
class ThreadPool {
 public:
  // `threads` counts the caller: 1 starts no thread. Precondition: 1 <= threads <= kThreadsMax.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const;

  // Calls work(task, thread) once for each task in [0, tasks), tasks handed out one by one by an
  // atomic counter in ascending order, and returns when all are done. `thread` < threads() names
  // the calling thread (for scratch memory). `work` must not throw nor call run().
  void run(std::size_t tasks, const std::function<void(std::size_t task, unsigned thread)>& work);

  // Has one worker do `work` beside the caller, while there is no loop for it: loops that begin
  // meanwhile go on without that worker, so `work` ends soon once they do. It is done exactly once,
  // at the latest when the pool ends, which waits for it. `work` must not throw nor call run().
  // False, and nothing is done, where there is no worker, or what was asked for before goes on.
  // Called like run(): by one thread at a time.
  bool run_aside(std::function<void()> work);

  static constexpr unsigned kThreadsMax = 256;  // more than any function platform lends

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw
