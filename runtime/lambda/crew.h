// Several invocations in flight in one process, as AWS_LAMBDA_MAX_CONCURRENCY asks: a loop for
// each, on a thread and a connection of its own. What they share is the answer behind them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "handler/gate.h"
#include "runtime/lambda/loop.h"

namespace thaw::lambda {

// What the loops know that an answer may tell: how many events they have, and that the end is near.
// Thread-safe; drain() is safe in a signal handler.
class LoopGate final : public handler::Gate {
 public:
  explicit LoopGate(std::uint32_t loops) : loops_(loops) {}

  void began() { ++in_flight_; }
  void ended() { --in_flight_; }
  // From now on HTTP events are told to come again, to another instance.
  void drain() { draining_ = true; }

  std::optional<handler::Closed> closed() const override;
  std::vector<handler::Gauge> gauges() const override;

 private:
  const std::uint32_t loops_;
  std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<bool> draining_{false};
};

class Crew {
 public:
  // Each has a thread whose stack an answer uses; the platform hands the rest to other instances.
  static constexpr std::uint32_t kLoopsMax = 256;

  // `answer` and what `options` calls are called on several threads at once where `loops` is more
  // than one. Errors: as Loop::create.
  static Result<std::unique_ptr<Crew>> create(std::uint32_t loops, const Connect& connect,
                                              const Answer& answer, Clock& clock,
                                              const LoopOptions& options);

  // Until stop(), or until one of them loses the platform, which ends the others. The first runs on
  // this thread, so that a crew of one starts none. Fewer run where no thread can be had.
  Ending run();

  // As Loop::stop, for all of them. Safe in a signal handler.
  void stop();

 private:
  explicit Crew(std::vector<std::unique_ptr<Loop>> loops) : loops_(std::move(loops)) {}

  const std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace thaw::lambda
