#include "handler/timings.h"

#include <gtest/gtest.h>

namespace thaw::handler {
namespace {

using namespace std::chrono_literals;

TEST(Timings, ServerTimingListsWhatHasBeenInOrder) {
  GenerationPhases phases;
  phases.tokenise = 120us;
  phases.prefill = 4500us;
  phases.first_token = 4700us;
  EXPECT_EQ(server_timing(phases, nullptr),
            "tokenise;dur=0.120, prefill;dur=4.500, first_token;dur=4.700");
  StartTimes start;
  start.exec = 612345ns;
  start.map = 41us;
  phases.since_start = 5400us;
  EXPECT_EQ(server_timing(phases, &start),
            "exec;dur=0.612, map;dur=0.041, tokenise;dur=0.120, prefill;dur=4.500, "
            "first_token;dur=4.700, since_start;dur=5.400");
  EXPECT_EQ(server_timing({}, nullptr), "");
}

TEST(Timings, AStampIsANumberOfNanosecondsOrNothing) {
  EXPECT_EQ(launcher_stamp("1500")->time_since_epoch(), 1500ns);
  for (const char* odd : {"", "0", "-5", "12x", " 12", "1e3", "99999999999999999999"}) {
    EXPECT_FALSE(launcher_stamp(odd)) << odd;
  }
}

}  // namespace
}  // namespace thaw::handler
