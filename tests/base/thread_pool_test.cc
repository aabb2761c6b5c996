#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/random.h"

namespace thaw {
namespace {

using Seconds = std::chrono::duration<double>;

// Some arithmetic that no compiler removes: about a microsecond for 1,000 rounds.
std::uint64_t spend(int rounds) {
  std::uint64_t x = 1;
  for (int i = 0; i < rounds; ++i) {
    x = x * 6364136223846793005u + 1;
    asm volatile("" : "+r"(x));
  }
  return x;
}

TEST(ThreadPool, DoesEachTaskExactlyOnce) {
  for (const unsigned threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::size_t tasks : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
      std::vector<std::atomic<int>> done(tasks);
      std::atomic<bool> named_well = true;
      pool.run(tasks, [&](std::size_t task, unsigned thread) {
        done[task].fetch_add(1);
        if (thread >= threads) named_well = false;
      });
      for (const auto& count : done) EXPECT_EQ(count.load(), 1);
      EXPECT_TRUE(named_well);
    }
  }
}

TEST(ThreadPool, WhatTasksWroteIsSeenAfterRunWithoutMoreSynchronisation) {
  ThreadPool pool(4);
  std::vector<std::size_t> squares(500);
  for (std::size_t round = 0; round < 200; ++round) {
    pool.run(squares.size(), [&](std::size_t task, unsigned) { squares[task] = task * round; });
    for (std::size_t i = 0; i < squares.size(); ++i) ASSERT_EQ(squares[i], i * round);
  }
}

TEST(ThreadPool, NoTwoThreadsShareANameAtATime) {
  ThreadPool pool(6);
  std::vector<std::atomic<int>> inside(6);
  std::atomic<bool> shared = false;
  pool.run(5000, [&](std::size_t, unsigned thread) {
    if (inside[thread].fetch_add(1) != 0) shared = true;
    spend(50);
    inside[thread].fetch_sub(1);
  });
  EXPECT_FALSE(shared);
}

TEST(ThreadPool, HandsTasksOutInAscendingOrder) {
  ThreadPool pool(3);
  std::vector<std::vector<std::size_t>> tasks_of(3);
  pool.run(3000, [&](std::size_t task, unsigned thread) { tasks_of[thread].push_back(task); });
  for (const auto& tasks : tasks_of) EXPECT_TRUE(std::is_sorted(tasks.begin(), tasks.end()));
}

TEST(ThreadPool, ManyShortRunsOfRandomSizesLoseNothing) {
  const std::uint64_t seed = 20;
  SCOPED_TRACE(seed);
  Random random(seed);
  ThreadPool pool(4);
  std::atomic<std::uint64_t> sum = 0;
  std::uint64_t wanted = 0;
  for (int run = 0; run < 20'000; ++run) {
    const std::size_t tasks = random.below(6);
    wanted += tasks * (tasks + 1) / 2;
    pool.run(tasks, [&](std::size_t task, unsigned) {
      sum.fetch_add(task + 1, std::memory_order_relaxed);
    });
    if (run % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // let all park
  }
  EXPECT_EQ(sum.load(), wanted);
}

TEST(ThreadPool, LoopsGoOnWithoutTheWorkerThatWorksAside) {
  for (const unsigned threads : {2u, 4u}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // all park
      std::atomic<bool> go_on = true;
      std::atomic<int> done = 0;
      const auto work = [&] {
        while (go_on) std::this_thread::yield();
        ++done;
      };
      // The last round's worker may need a moment until it is free again.
      while (!pool.run_aside(work)) std::this_thread::yield();
      EXPECT_FALSE(pool.run_aside([&] { done += 100; })) << "one at a time";
      std::atomic<int> tasks = 0;
      for (int run = 0; run < 20; ++run) pool.run(7, [&](std::size_t, unsigned) { ++tasks; });
      EXPECT_EQ(tasks.load(), 140);
      EXPECT_EQ(done.load(), 0);
      go_on = false;
      while (done.load() == 0) std::this_thread::yield();
      EXPECT_EQ(done.load(), 1);
    }
  }
}

TEST(ThreadPool, WorkAsideIsDoneBeforeThePoolEndsAndNeverWithoutAWorker) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> done = 0;
    {
      ThreadPool pool(1 + static_cast<unsigned>(round % 4));
      EXPECT_EQ(pool.run_aside([&] { ++done; }), round % 4 != 0);
    }
    EXPECT_EQ(done.load(), round % 4 == 0 ? 0 : 1);
  }
}

TEST(ThreadPool, StartsAndStopsWithoutAnyRun) {
  for (int i = 0; i < 200; ++i) ThreadPool pool(1 + static_cast<unsigned>(i % 5));
}

TEST(ThreadPool, TakesMoreThreadsThanAnyMachineHas) {
  ThreadPool pool(ThreadPool::kThreadsMax);
  std::atomic<int> done = 0;
  for (int i = 0; i < 10; ++i) pool.run(1000, [&](std::size_t, unsigned) { ++done; });
  EXPECT_EQ(done.load(), 10'000);
}

TEST(ThreadPool, WorkersTakeNoSignalsButOfTheirOwnFaults) {
  ThreadPool pool(2);
  std::atomic<int> blocked = 0;
  std::atomic<int> seen = 0;
  pool.run(2, [&](std::size_t, unsigned thread) {
    ++seen;
    while (seen.load() < 2) std::this_thread::yield();  // so that each thread has one task
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (thread != 0 && sigismember(&mask, SIGTERM) == 1) ++blocked;
    // A blocked fault would end the process whatever its handler.
    EXPECT_EQ(sigismember(&mask, SIGBUS), 0);
  });
  EXPECT_EQ(blocked.load(), 1);
}

TEST(ThreadPoolDeathTest, NoThreadsIsABug) { EXPECT_DEATH(ThreadPool(0), "threads >= 1"); }

// Runs a second's worth of short steps on one processor and says how many ended.
double steps_per_second_on_one_processor(unsigned threads) {
  double rate = 0;
  std::thread pinned([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);  // the pool's threads inherit it
    ThreadPool pool(threads);
    const auto step = [](std::size_t, unsigned) { spend(4000); };
    const auto start = std::chrono::steady_clock::now();
    int steps = 0;
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(300)) {
      pool.run(16, step);
      ++steps;
    }
    rate = steps / Seconds(std::chrono::steady_clock::now() - start).count();
  });
  pinned.join();
  return rate;
}

TEST(ThreadPool, DoesNotCollapseWithMoreThreadsThanProcessors) {
  // The best of a few tries each: what else the machine does must not decide.
  double alone = 0;
  double crowded = 0;
  for (int i = 0; i < 3; ++i) {
    alone = std::max(alone, steps_per_second_on_one_processor(1));
    crowded = std::max(crowded, steps_per_second_on_one_processor(2));
  }
  EXPECT_GE(crowded, 0.5 * alone) << crowded << " against " << alone << " steps a second";
}

}  // namespace
}  // namespace thaw
