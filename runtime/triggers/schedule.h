// EventBridge's schedules: rate(5 minutes), cron(0 12 ? * MON-FRI *), in UTC; and Function
// Compute's
// "@every 5m". Pure.
#pragma once

#include <bitset>
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace thaw::triggers {

class Schedule {
 public:
  // Errors: kInvalid, naming the field.
  static Result<Schedule> parse(std::string_view expression);

  // The first time after `time`; nothing where a cron expression has no more. A rate counts from
  // `time`.
  std::optional<Clock::Wall> next(Clock::Wall time) const;

 private:
  static constexpr int kYearMin = 1970, kYearMax = 2199;  // EventBridge's
  // "L", "LW", "15W", "MON#2", "FRIL": what of a day depends on its month.
  struct DayRule {
    enum class Kind : unsigned char { kLast, kLastWeekday, kNearestWeekday, kNth, kLastOf };
    Kind kind = Kind::kLast;
    unsigned day = 0;  // of the month, or of the week from 0 (Sunday)
    unsigned nth = 0;
  };

  static Result<Schedule> parse_rate(std::string_view text);
  static Result<Schedule> parse_cron(std::string_view text);
  Result<Done> parse_day(std::string_view field, bool of_week);
  bool fits(std::chrono::year_month_day date) const;

  std::optional<std::chrono::seconds> period_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // of the month, from 1
  std::bitset<13> months_;   // from 1
  std::bitset<7> weekdays_;  // Sunday is 0
  std::bitset<kYearMax - kYearMin + 1> years_;
  std::vector<DayRule> rules_;
};

}  // namespace thaw::triggers
