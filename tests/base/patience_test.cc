#include "base/patience.h"

#include <gtest/gtest.h>

namespace thaw::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// Spins for something that comes after `wait`; how long it spun.
nanoseconds spin_for(Patience& patience, nanoseconds wait) {
  const nanoseconds spin = patience.spin();
  if (spin < wait) {
    patience.failed();
    return spin;
  }
  patience.succeeded();
  return wait;
}

TEST(Patience, ComesBackAfterLongWaits) {
  for (const nanoseconds wait : {nanoseconds(600), nanoseconds(5us), nanoseconds(20us)}) {
    Patience patience;
    for (int i = 0; i < 20; ++i) spin_for(patience, 1ms);
    int parks = 0;
    for (int i = 0; i < 1000; ++i) parks += spin_for(patience, wait) < wait ? 1 : 0;
    EXPECT_LT(parks, static_cast<int>(Patience::kProbeEvery)) << wait.count();
  }
}

TEST(Patience, CostsLittleWhereSpinsNeverSucceed) {
  Patience patience;
  nanoseconds spun{};
  for (int i = 0; i < 3200; ++i) spun += spin_for(patience, 1s);
  EXPECT_LT(spun / 3200, 3us);  // a probe's share is 0.8, and what follows it
}

TEST(Patience, OutlastsASingleLongWait) {
  Patience patience;
  spin_for(patience, 1ms);
  EXPECT_EQ(spin_for(patience, 20us), 20us);
}

}  // namespace
}  // namespace thaw::internal
