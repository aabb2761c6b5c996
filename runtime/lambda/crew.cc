#include "runtime/lambda/crew.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/str.h"

namespace thaw::lambda {

std::optional<handler::Closed> LoopGate::closed() const {
  if (!draining_) return std::nullopt;
  return handler::Closed{"draining", "this instance is being shut down; try again"};
}

std::vector<handler::Gauge> LoopGate::gauges() const {
  return {{"thaw_lambda_loops", "Invocations that this instance can have at once.", "",
           static_cast<double>(loops_)},
          {"thaw_lambda_in_flight", "Invocations that this instance has now.", "",
           static_cast<double>(in_flight_)}};
}

Result<std::unique_ptr<Crew>> Crew::create(std::uint32_t loops, const Connect& connect,
                                           const Answer& answer, Clock& clock,
                                           const LoopOptions& options) {
  if (loops > kLoopsMax) {
    log_warn(cat("concurrency: ", loops, " invocations at once, at most ", kLoopsMax,
                 " are asked for; the platform gives the others to other instances"));
  }
  std::vector<std::unique_ptr<Loop>> made;
  for (std::uint32_t i = 0; i < std::clamp(loops, std::uint32_t{1}, kLoopsMax); ++i) {
    THAW_TRY(loop, Loop::create(connect, answer, clock, options));
    made.push_back(std::move(loop));
  }
  return std::unique_ptr<Crew>(new Crew(std::move(made)));
}

Ending Crew::run() {
  std::atomic<bool> failed{false};
  const auto run_one = [&](Loop& loop) {
    if (loop.run() == Ending::kStopped) return;
    failed = true;
    stop();
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < loops_.size(); ++i) {
    try {
      threads.emplace_back([&run_one, loop = loops_[i].get()] { run_one(*loop); });
    } catch (const std::system_error& error) {
      log_warn(cat("concurrency: no thread for the invocations beyond ", i, ": ", error.what()));
      break;
    }
  }
  run_one(*loops_[0]);
  for (std::thread& thread : threads) thread.join();
  return failed ? Ending::kFailed : Ending::kStopped;
}

void Crew::stop() {
  for (const std::unique_ptr<Loop>& loop : loops_) loop->stop();
}

}  // namespace thaw::lambda
