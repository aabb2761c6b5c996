#include "runtime/triggers/schedule.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "runtime/triggers/events.h"

namespace thaw::triggers {
namespace {

using namespace std::chrono;
using namespace std::chrono_literals;

Clock::Wall at(int y, unsigned m, unsigned d, int hour = 0, int minute = 0, int second = 0) {
  return Clock::Wall(sys_days(year(y) / month(m) / day(d)) + hours(hour) + minutes(minute) +
                     seconds(second));
}

// The first `count` times after a date, without their seconds.
std::vector<std::string> times(std::string_view expression, Clock::Wall from, int count) {
  const auto schedule = Schedule::parse(expression);
  EXPECT_TRUE(schedule) << expression << ": " << (schedule ? "" : schedule.error().message);
  std::vector<std::string> all;
  for (int i = 0; schedule && i < count; ++i) {
    const auto next = schedule->next(from);
    if (!next) break;
    all.push_back(iso_seconds(*next).substr(0, 16));
    from = *next;
  }
  return all;
}
using Times = std::vector<std::string>;

TEST(Schedule, RatesCountFromTheTime) {
  EXPECT_EQ(Schedule::parse("rate(5 minutes)")->next(at(2026, 1, 1)), at(2026, 1, 1, 0, 5));
  EXPECT_EQ(Schedule::parse("rate(1 hour)")->next(at(2026, 1, 1)), at(2026, 1, 1, 1));
  EXPECT_EQ(Schedule::parse("rate(7 days)")->next(at(2026, 1, 1)), at(2026, 1, 8));
  EXPECT_EQ(Schedule::parse("@every 90s")->next(at(2026, 1, 1)), at(2026, 1, 1, 0, 1, 30));
  EXPECT_EQ(Schedule::parse("@every 2h")->next(at(2026, 1, 1)), at(2026, 1, 1, 2));
}

// EventBridge's own examples, and what they say.
TEST(Schedule, CronFollowsEventBridge) {
  EXPECT_EQ(times("cron(0 10 * * ? *)", at(2026, 1, 1, 10), 2),
            (Times{"2026-01-02T10:00", "2026-01-03T10:00"}));
  EXPECT_EQ(times("cron(15 12 * * ? *)", at(2026, 1, 1), 1), Times{"2026-01-01T12:15"});
  EXPECT_EQ(times("cron(0 18 ? * MON-FRI *)", at(2026, 1, 2, 19), 2),
            (Times{"2026-01-05T18:00", "2026-01-06T18:00"}));
  EXPECT_EQ(times("cron(0 8 1 * ? *)", at(2026, 1, 1, 9), 1), Times{"2026-02-01T08:00"});
  EXPECT_EQ(times("cron(0/15 * * * ? *)", at(2026, 1, 1), 3),
            (Times{"2026-01-01T00:15", "2026-01-01T00:30", "2026-01-01T00:45"}));
  EXPECT_EQ(times("cron(0/5 8-17 ? * MON-FRI *)", at(2026, 1, 2, 17, 55), 1),
            Times{"2026-01-05T08:00"});
  EXPECT_EQ(times("cron(0 9 ? * 2#1 *)", at(2026, 1, 6), 2),
            (Times{"2026-02-02T09:00", "2026-03-02T09:00"}));
  EXPECT_EQ(times("cron(0 0 L * ? *)", at(2026, 1, 31), 2),
            (Times{"2026-02-28T00:00", "2026-03-31T00:00"}));
  EXPECT_EQ(times("cron(0 0 LW * ? *)", at(2026, 2, 1), 2),
            (Times{"2026-02-27T00:00", "2026-03-31T00:00"}));
  EXPECT_EQ(times("cron(0 0 1W * ? *)", at(2026, 1, 31), 1), Times{"2026-02-02T00:00"})
      << "the first is a Sunday, and the Friday before is another month's";
  EXPECT_EQ(times("cron(0 0 15W * ? *)", at(2026, 2, 1), 1), Times{"2026-02-16T00:00"});
  EXPECT_EQ(times("cron(0 0 ? * 6L *)", at(2026, 1, 1), 1), Times{"2026-01-30T00:00"});
  EXPECT_EQ(times("cron(0 0 ? * SUN *)", at(2026, 1, 1), 1), Times{"2026-01-04T00:00"});
  EXPECT_EQ(times("cron(0 0 29 2 ? *)", at(2026, 1, 1), 2),
            (Times{"2028-02-29T00:00", "2032-02-29T00:00"}));
  EXPECT_EQ(times("cron(0 0 1 JAN ? 2027-2028)", at(2026, 1, 1), 5),
            (Times{"2027-01-01T00:00", "2028-01-01T00:00"}));
  EXPECT_TRUE(times("cron(0 0 31 2 ? *)", at(2026, 1, 1), 1).empty()) << "it never comes";
}

TEST(Schedule, RefusesWhatEventBridgeRefuses) {
  for (const char* bad : {"",
                          "rate()",
                          "rate(0 minutes)",
                          "rate(1 minutes)",
                          "rate(2 minute)",
                          "rate(-1 hours)",
                          "rate(5 weeks)",
                          "rate(5)",
                          "cron()",
                          "cron(* * * * *)",
                          "cron(* * * * * *)",
                          "cron(* * ? * ? *)",
                          "cron(60 * * * ? *)",
                          "cron(* 24 * * ? *)",
                          "cron(* * 0 * ? *)",
                          "cron(* * 32 * ? *)",
                          "cron(* * * 13 ? *)",
                          "cron(* * * FOO ? *)",
                          "cron(* * ? * 8 *)",
                          "cron(* * ? * 2#6 *)",
                          "cron(* * ? * 2# *)",
                          "cron(* * * * ? 1969)",
                          "cron(5-1 * * * ? *)",
                          "cron(*/0 * * * ? *)",
                          "cron(1,,2 * * * ? *)",
                          "cron(x * * * ? *)",
                          "cron(* * W * ? *)",
                          "cron(* * 40W * ? *)",
                          "cron(* * ? * XL *)",
                          "@every 5",
                          "@every 0m",
                          "@every xm",
                          "0 0 4 * * *",
                          "cron(* * * * ? * *)"}) {
    const auto schedule = Schedule::parse(bad);
    ASSERT_FALSE(schedule) << bad;
    EXPECT_EQ(schedule.error().code, Code::kInvalid);
  }
}

// Against a search minute by minute over a month, from fields chosen by a seed.
TEST(Schedule, FindsTheSameTimesAsASearch) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    const auto minute = random.below(60), hour = random.below(24), day = 1 + random.below(28);
    const auto text = "cron(" + std::to_string(minute) + " " + std::to_string(hour) + " " +
                      std::to_string(day) + "/9 * ? *)";
    const auto schedule = Schedule::parse(text);
    ASSERT_TRUE(schedule) << text;
    const Clock::Wall begin = at(2027, 3, 1);
    std::vector<Clock::Wall> wanted;
    for (Clock::Wall time = begin + 1min; time < begin + hours(24 * 30); time += 1min) {
      const auto date = year_month_day(floor<days>(time));
      const auto into = time - floor<days>(time);
      const unsigned of_month = unsigned{date.day()};
      if (into == hours(hour) + minutes(minute) && of_month >= day && (of_month - day) % 9 == 0) {
        wanted.push_back(time);
      }
    }
    Clock::Wall from = begin;
    for (const Clock::Wall time : wanted) {
      EXPECT_EQ(schedule->next(from), time) << text;
      from = time;
    }
  }
}

}  // namespace
}  // namespace thaw::triggers
