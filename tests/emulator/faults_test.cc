#include "runtime/emulator/faults.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace thaw::emulator {
namespace {

TEST(Faults, AreReadWithTheirAmountAndChance) {
  const auto kill = parse_fault("kill-at:100:0.25");
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->kind, FaultKind::kKillAt);
  EXPECT_EQ(kill->amount, 100u);
  EXPECT_DOUBLE_EQ(kill->chance, 0.25);
  const auto throttle = parse_fault("throttle");
  ASSERT_TRUE(throttle);
  EXPECT_EQ(throttle->kind, FaultKind::kThrottle);
  EXPECT_DOUBLE_EQ(throttle->chance, 1);
  EXPECT_EQ(parse_fault("latency:0:1")->kind, FaultKind::kLatency);
  EXPECT_EQ(parse_fault("slow-network:1")->amount, 1u);
  EXPECT_EQ(parse_fault("init-hang:0")->chance, 0);
}

TEST(Faults, AreRefusedWhereTheyMakeNoSense) {
  for (const char* text :
       {"", "kill", "kill-at", "kill-at:", "kill-at:-1", "kill-at:x", "kill-at:1:2",
        "kill-at:1:", "kill-at:1:nan", "slow-network:0", "latency:1000000001", "throttle:1.5",
        "throttle:x", "throttle:", "throttle:0.5:1", "Throttle"}) {
    const auto fault = parse_fault(text);
    ASSERT_FALSE(fault) << text;
    EXPECT_EQ(fault.error().code, Code::kInvalid);
  }
}

std::vector<bool> throws(Faults& faults, FaultKind kind, int count) {
  std::vector<bool> drawn;
  for (int i = 0; i < count; ++i) drawn.push_back(faults.draw(kind).has_value());
  return drawn;
}

TEST(Faults, FallTheSameWayForOneSeedWhateverElseThereIs) {
  const Fault kill{FaultKind::kKillAt, 7, 0.3};
  const Fault lost{FaultKind::kLostResponse, 0, 0.5};
  Faults one({kill}, 42), same({kill, lost}, 42), other({kill}, 43);
  throws(same, FaultKind::kLostResponse, 100);
  const auto drawn = throws(one, FaultKind::kKillAt, 1000);
  EXPECT_EQ(drawn, throws(same, FaultKind::kKillAt, 1000));
  EXPECT_NE(drawn, throws(other, FaultKind::kKillAt, 1000));
  const auto count = std::count(drawn.begin(), drawn.end(), true);
  EXPECT_GT(count, 240);  // four standard deviations
  EXPECT_LT(count, 360);
}

TEST(Faults, OfChanceNoneAndOneAreNeverAndAlways) {
  Faults faults({{FaultKind::kThrottle, 0, 0}, {FaultKind::kLatency, 9, 1}}, 1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(faults.draw(FaultKind::kThrottle));
    EXPECT_EQ(faults.draw(FaultKind::kLatency), 9u);
    EXPECT_FALSE(faults.draw(FaultKind::kInitCrash)) << "none was asked for";
  }
}

}  // namespace
}  // namespace thaw::emulator
