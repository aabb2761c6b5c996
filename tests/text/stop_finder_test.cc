#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "handler/text/sampler.h"

namespace thaw::text {
namespace {

struct Outcome {
  std::string text;
  bool stopped = false;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopFinder finder(stops);
  Outcome outcome;
  for (const std::string& piece : pieces) outcome.text += finder.push(piece);
  outcome.text += finder.finish();
  outcome.stopped = finder.stopped();
  return outcome;
}

// The stop string that ends first, the longest of those that end together.
Outcome expected(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      const std::string_view before = std::string_view(text).substr(0, end);
      if (!stop.empty() && before.ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopFinder, FindsStopsAcrossBordersAndHoldsBackNoMoreThanItMust) {
  StopFinder finder({"\n\nUser", "END"});
  EXPECT_EQ(finder.push("hello\n"), "hello");
  EXPECT_EQ(finder.push("x\n\nUs"), "\nx");
  EXPECT_EQ(finder.push("age E"), "\n\nUsage ");
  EXPECT_EQ(finder.push("N"), "");
  EXPECT_FALSE(finder.stopped());
  EXPECT_EQ(finder.push("D after"), "");
  EXPECT_TRUE(finder.stopped());
  EXPECT_EQ(finder.push("more"), "");
  EXPECT_EQ(finder.finish(), "");
}

TEST(StopFinder, GivesBackWhatItHeldAtTheEnd) {
  StopFinder finder({"STOP"});
  EXPECT_EQ(finder.push("a STO"), "a ");
  EXPECT_EQ(finder.finish(), "STO");
  EXPECT_EQ(finder.finish(), "");
  EXPECT_FALSE(finder.stopped());
}

TEST(StopFinder, WithoutStopsEverythingPasses) {
  EXPECT_EQ(run({}, {"a", "b"}), (Outcome{"ab", false}));
  EXPECT_EQ(run({""}, {"a", "b"}), (Outcome{"ab", false}));
}

TEST(StopFinder, RandomTextStopsWhereASearchOverAllOfItSays) {
  constexpr std::uint64_t kSeed = 99;
  Random random(kSeed);
  const auto word = [&](std::uint64_t length_max) {
    std::string text;
    for (std::uint64_t n = random.below(length_max + 1); n > 0; --n) {
      text.push_back("ab\n"[random.below(3)]);
    }
    return text;
  };
  int stopped = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> stops;
    for (std::uint64_t n = random.below(4); n > 0; --n) stops.push_back(word(7));
    std::vector<std::string> pieces;
    std::string text;
    StopFinder finder(stops);
    std::size_t given = 0;
    for (std::uint64_t n = random.below(8); n > 0 && !finder.stopped(); --n) {
      pieces.push_back(word(5));
      text += pieces.back();
      given += finder.push(pieces.back()).size();
      if (finder.stopped()) break;
      // Held back is exactly the longest end of the text that a stop string begins with.
      std::size_t hopeful = 0;
      for (const std::string& stop : stops) {
        for (std::size_t length = 1; length < stop.size(); ++length) {
          if (text.ends_with(stop.substr(0, length))) hopeful = std::max(hopeful, length);
        }
      }
      ASSERT_EQ(text.size() - given, hopeful) << "seed " << kSeed << " case " << i;
    }
    const Outcome outcome = run(stops, pieces);
    ASSERT_EQ(outcome, expected(stops, text)) << "seed " << kSeed << " case " << i;
    stopped += outcome.stopped;
  }
  EXPECT_GT(stopped, 5000);
  EXPECT_LT(stopped, 15'000);
}

TEST(StopFinder, ALongStopOverALongTextTakesTimeInProportion) {
  const std::string stop = std::string(100'000, 'a') + "b";
  StopFinder finder({stop});
  std::size_t given = 0;
  for (int i = 0; i < 1'000; ++i) given += finder.push(std::string(1'000, 'a')).size();
  EXPECT_EQ(given, 900'000u);
  finder.push("b");
  EXPECT_TRUE(finder.stopped());
}

}  // namespace
}  // namespace thaw::text
