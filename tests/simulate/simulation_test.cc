// Replays against what can be worked out by hand, and against queueing theory where it is exact.
#include "runtime/simulate/simulation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace thaw::simulate {
namespace {

using namespace std::chrono_literals;

class List final : public Arrivals {
 public:
  explicit List(std::vector<Arrival> arrivals) : arrivals_(std::move(arrivals)) {}
  Result<std::optional<Arrival>> next() override {
    if (at_ == arrivals_.size()) return std::optional<Arrival>();
    return std::optional(arrivals_[at_++]);
  }

 private:
  std::vector<Arrival> arrivals_;
  std::size_t at_ = 0;
};

// 10 ms to start, 1 ms of overhead, 1 ms for a token of the prompt, 10 ms for one of the answer.
Setup setup_of(cost::Platform platform = cost::Platform::kLambdaX86) {
  Setup setup;
  setup.shape = {platform, 1024, 1};
  setup.phases = {10ms, 1ms, 1000, 100, 1};
  return setup;
}

Outcome replay(const Setup& setup, std::vector<Arrival> arrivals) {
  List list(std::move(arrivals));
  auto outcome = simulate(list, setup);
  EXPECT_TRUE(outcome) << outcome.error().message;
  return *std::move(outcome);
}

TEST(Simulation, AddsUpTheTimesOfAnInvocation) {
  const Outcome out = replay(setup_of(), {{1s, 0, 20, 5}, {2s, 0, 20, 5}});
  EXPECT_EQ(out.served, 2u);
  EXPECT_EQ(out.cold, 1u);
  EXPECT_EQ(out.starts, 1u);
  EXPECT_EQ(out.latency.min(), 1ms + 20ms + 40ms);
  EXPECT_EQ(out.latency.max(), 10ms + 61ms);
  EXPECT_EQ(out.cold_latency.max(), 71ms);
  EXPECT_EQ(out.warm_latency.max(), 61ms);
  EXPECT_EQ(out.first_token.min(), 21ms);
  EXPECT_EQ(out.waited.max(), 10ms);
  EXPECT_EQ(out.span, 2s + 61ms);
  EXPECT_NEAR(out.busy_gb_seconds, 0.122, 1e-9);
  EXPECT_NEAR(out.idle_gb_seconds, 2.061 - 1.010 - 0.122, 1e-9);
}

TEST(Simulation, BillsStartsWhereThePlatformDoes) {
  const std::vector<Arrival> two = {{1s, 0, 20, 5}, {2s, 0, 20, 5}};
  const Outcome lambda = replay(setup_of(), two);
  EXPECT_EQ(lambda.usage.requests, 2u);
  EXPECT_EQ(lambda.usage.run, 71ms + 61ms);
  EXPECT_EQ(replay(setup_of(cost::Platform::kFunctionCompute), two).usage.run, 122ms);
  EXPECT_EQ(replay(setup_of(cost::Platform::kCloudRun), two).usage.run, 200ms);
}

TEST(Simulation, BillsOverlappingInvocationsOfOneInstanceOnce) {
  auto setup = setup_of(cost::Platform::kCloudRun);
  setup.limits.invocations_per_instance = 10;
  // Both from the start's end on; the second ends 100 ms later.
  const Outcome out = replay(setup, {{0s, 0, 9, 20}, {5ms, 0, 9, 30}});
  EXPECT_EQ(out.starts, 1u);
  EXPECT_EQ(out.leases_peak, 2u);
  EXPECT_EQ(out.usage.run, 400ms);  // 10 + 10 + 290 ms, rounded
  EXPECT_EQ(out.usage.requests, 2u);
}

TEST(Simulation, RefusesBeyondTheConcurrency) {
  auto setup = setup_of();
  setup.limits.instances_max = 1;
  const Outcome out = replay(setup, {{0s, 0, 10, 1}, {1ms, 0, 10, 1}, {1s, 0, 10, 1}});
  EXPECT_EQ(out.served, 2u);
  EXPECT_EQ(out.refused, 1u);
  EXPECT_EQ(out.refused_for[static_cast<std::size_t>(warmpool::Reason::kFunctionConcurrency)], 1u);
  EXPECT_EQ(out.usage.requests, 2u) << "who is refused is not billed";
}

TEST(Simulation, QueuesWhereSomebodyMayWait) {
  auto setup = setup_of();
  setup.limits.instances_max = 1;
  setup.limits.queue_length_max = 1;
  setup.queue_max = 15ms;
  // The first ends at 10 + 11 ms.
  const Outcome in_time = replay(setup, {{0s, 0, 10, 1}, {8ms, 0, 10, 1}});
  EXPECT_EQ(in_time.served, 2u);
  EXPECT_EQ(in_time.latency.max(), 21ms - 8ms + 11ms);
  const Outcome late = replay(setup, {{0s, 0, 10, 1}, {5ms, 0, 10, 1}});
  EXPECT_EQ(late.refused_for[static_cast<std::size_t>(warmpool::Reason::kWaitedTooLong)], 1u);
}

TEST(Simulation, EndsWhatTakesTooLong) {
  auto setup = setup_of();
  setup.timeout = 50ms;
  const Outcome out = replay(setup, {{0s, 0, 10, 100}, {1s, 0, 10, 1}});
  EXPECT_EQ(out.timed_out, 1u);
  EXPECT_EQ(out.served, 1u);
  EXPECT_EQ(out.starts, 2u) << "what ran out of time is not used again";
  EXPECT_EQ(out.usage.run, 60ms + 21ms);
}

TEST(Simulation, KeepsWhatIsProvisioned) {
  auto setup = setup_of();
  setup.limits.provisioned = 2;
  const Outcome out = replay(setup, {{1s, 0, 10, 1}, {301s, 0, 10, 1}});
  EXPECT_EQ(out.cold, 0u);
  EXPECT_EQ(out.starts, 2u);
  EXPECT_EQ(out.usage.provisioned, std::chrono::minutes(20))
      << "twice five minutes, begun, for two";
  EXPECT_EQ(out.usage.provisioned_run, 22ms);
  EXPECT_EQ(out.usage.run, 0ms);
  setup.shape.platform = cost::Platform::kCloudRun;
  EXPECT_EQ(replay(setup, {{1s, 0, 10, 1}}).usage.provisioned, 2 * 1011ms);
}

TEST(Simulation, StartsFromSnapshotsOfThePlatform) {
  auto setup = setup_of();
  setup.restore = 200ms;
  const Outcome out = replay(setup, {{0s, 0, 10, 1}});
  EXPECT_EQ(out.latency.max(), 211ms);
  EXPECT_EQ(out.usage.restores, 1u);
  EXPECT_EQ(out.usage.run, 11ms);
  EXPECT_EQ(out.usage.snapshot_kept, std::chrono::hours(3));
}

TEST(Simulation, KeepsFunctionsApart) {
  const Outcome out = replay(setup_of(), {{0s, 0, 10, 1}, {1s, 2, 10, 1}, {2s, 2, 10, 1}});
  EXPECT_EQ(out.functions, 3u);
  EXPECT_EQ(out.cold, 2u);
}

TEST(Simulation, CountsAMonthOfTheSame) {
  const auto setup = setup_of();
  // 0.1 s billed in 10 s: 259,200 times a month.
  const Outcome out = replay(setup, {{0s, 0, 89, 1}, {9'910ms, 0, 89, 1}});
  ASSERT_EQ(out.span, 10s);
  ASSERT_EQ(out.usage.run, 100ms + 90ms);
  const cost::Bill month = month_of(out, setup, cost::PriceList::built_in(), false);
  const double want = 2 * 259'200 * 2e-7 + 259'200 * 0.19 * 0.0000166667;
  EXPECT_NEAR(month.total.dollars(), want, 1e-6);
}

// With no queue, starts that take no time and instances that are kept, the share that is refused is
// Erlang's B, whatever the times of service are.
TEST(Simulation, LosesAsManyAsErlangSays) {
  for (const std::uint32_t servers : {1u, 5u, 20u}) {
    auto setup = setup_of();
    setup.phases = {0ms, 0ms, 1000, 100, 1};
    setup.limits.instances_max = servers;
    setup.limits.keep_alive = warmpool::GreedyDual{};
    GeneratorOptions options;
    const double load = 0.9 * servers;  // erlangs
    options.rate = load * 10;           // of 100 ms each
    options.length = std::chrono::nanoseconds(static_cast<std::int64_t>(4e14 / options.rate));
    options.seed = servers;
    options.tokens = {100, 1, 0};
    auto arrivals = generate(options);
    ASSERT_TRUE(arrivals);
    const auto out = simulate(**arrivals, setup);
    ASSERT_TRUE(out);
    double b = 1;
    for (std::uint32_t n = 1; n <= servers; ++n) b = load * b / (n + load * b);
    const double share = static_cast<double>(out->refused) / static_cast<double>(out->arrived);
    EXPECT_GT(out->arrived, 350'000u);
    EXPECT_NEAR(share, b, 0.01 * b + 0.002) << servers << " servers";
  }
}

// One function, idle for an exponential time between invocations: it is cold as often as that time
// is longer than it is kept.
TEST(Simulation, IsColdAsOftenAsTheKeepAliveSays) {
  auto setup = setup_of();
  setup.phases = {0ms, 0ms, 1e9, 1e9, 1};
  setup.limits.keep_alive = warmpool::FixedTime{10s};
  GeneratorOptions options;
  options.rate = 0.1;
  options.length = std::chrono::nanoseconds(std::chrono::hours(24 * 30));
  options.tokens = {0, 1, 0};
  auto arrivals = generate(options);
  ASSERT_TRUE(arrivals);
  const auto out = simulate(**arrivals, setup);
  ASSERT_TRUE(out);
  EXPECT_GT(out->served, 250'000u);
  EXPECT_NEAR(static_cast<double>(out->cold) / static_cast<double>(out->served), std::exp(-1),
              0.005);
}

// The same invocation every half hour: prewarmed, it is never cold once that is learnt, and takes
// less memory than keeping it would.
TEST(Simulation, ComparesPolicies) {
  std::vector<Arrival> every;
  for (int i = 0; i < 200; ++i) every.push_back({30min * i, 0, 10, 1});
  auto setup = setup_of();
  setup.limits.keep_alive = warmpool::FixedTime{10min};
  const Outcome fixed = replay(setup, every);
  setup.limits.keep_alive = warmpool::HybridHistogram{};
  const Outcome learnt = replay(setup, every);
  EXPECT_EQ(fixed.cold, 200u);
  EXPECT_EQ(learnt.cold, 1u);
  EXPECT_GT(learnt.prewarmed, 180u);
  setup.limits.keep_alive = warmpool::GreedyDual{};
  const Outcome kept = replay(setup, every);
  EXPECT_EQ(kept.cold, 1u);
  EXPECT_LT(learnt.idle_gb_seconds, 0.5 * kept.idle_gb_seconds);
}

TEST(Simulation, RefusesWhatMakesNoSense) {
  List none({});
  auto setup = setup_of();
  setup.phases.decode_tokens_per_s = 0;
  EXPECT_EQ(simulate(none, setup).error().code, Code::kInvalid);
  setup = setup_of();
  setup.limits.provisioned = 11;
  EXPECT_EQ(simulate(none, setup).error().code, Code::kInvalid);
  setup = setup_of();
  setup.shape.memory_mb = 1;
  EXPECT_EQ(simulate(none, setup).error().code, Code::kInvalid);
  EXPECT_EQ(replay(setup_of(), {}).arrived, 0u);
}

TEST(Simulation, NamesEveryReason) {
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    EXPECT_FALSE(name_of(static_cast<warmpool::Reason>(i)).empty());
  }
}

}  // namespace
}  // namespace thaw::simulate
