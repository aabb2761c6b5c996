#include "runtime/triggers/schedule.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <string>

#include "base/str.h"

namespace thaw::triggers {
namespace {

using namespace std::chrono;

constexpr std::string_view kMonths[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                        "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::string_view kDays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

Error refused(std::string_view expression, std::string_view why) {
  return fail(Code::kInvalid, cat("schedule '", expression.substr(0, 100), "': ", why));
}

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || text.empty()) return std::nullopt;
  return value;
}

// A field's words: its least and greatest number, and names, the first of which is `named_from`.
struct Words {
  unsigned min, max;
  std::span<const std::string_view> names = {};
  unsigned named_from = 0;
};

std::optional<unsigned> value_of(std::string_view text, const Words& words) {
  for (std::size_t i = 0; i < words.names.size(); ++i) {
    if (words.names[i] == text) return words.named_from + static_cast<unsigned>(i);
  }
  const auto value = number(text);
  if (!value || *value < words.min || *value > words.max) return std::nullopt;
  return value;
}

template <class Each>
bool each_part(std::string_view text, char at, const Each& each) {
  while (true) {
    const std::size_t end = text.find(at);
    if (!each(text.substr(0, end))) return false;
    if (end == text.npos) return true;
    text.remove_prefix(end + 1);
  }
}

// "1,5-10,*/15,MON-FRI": calls set(value) for each. False: not a list of such.
template <class Set>
bool read_list(std::string_view field, const Words& words, const Set& set) {
  return each_part(field, ',', [&](std::string_view part) {
    unsigned step = 1;
    const std::size_t slash = part.find('/');
    if (slash != part.npos) {
      const auto given = number(part.substr(slash + 1));
      if (!given || *given == 0) return false;
      step = *given;
      part = part.substr(0, slash);
    }
    unsigned first = words.min, last = words.max;
    if (part != "*") {
      const std::size_t dash = part.find('-');
      const auto from = value_of(part.substr(0, dash), words);
      const auto to = dash == part.npos ? from : value_of(part.substr(dash + 1), words);
      if (!from || !to || *from > *to) return false;
      first = *from;
      last = slash != part.npos && dash == part.npos ? words.max : *to;
    }
    for (unsigned value = first; value <= last; value += step) set(value);
    return true;
  });
}

unsigned last_day(year_month month) { return unsigned{(month / last).day()}; }

bool is_weekday(year_month_day date) {
  const unsigned day = weekday(sys_days(date)).c_encoding();
  return day != 0 && day != 6;
}

// The weekday nearest to a day, within its month.
unsigned nearest_weekday(year_month month, unsigned day) {
  day = std::min(day, last_day(month));
  for (const int step : {0, -1, 1, -2, 2}) {
    const int candidate = static_cast<int>(day) + step;
    if (candidate < 1 || candidate > static_cast<int>(last_day(month))) continue;
    if (is_weekday(month / std::chrono::day(static_cast<unsigned>(candidate)))) {
      return static_cast<unsigned>(candidate);
    }
  }
  return day;
}

}  // namespace

Result<Schedule> Schedule::parse(std::string_view expression) {
  if (expression.starts_with("rate(") && expression.ends_with(')')) {
    return parse_rate(expression.substr(5, expression.size() - 6));
  }
  if (expression.starts_with("cron(") && expression.ends_with(')')) {
    return parse_cron(expression.substr(5, expression.size() - 6));
  }
  if (expression.starts_with("@every ") && expression.size() > 8) {
    const char unit = expression.back();
    const auto value = number(expression.substr(7, expression.size() - 8));
    const unsigned scale = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 0;
    if (!value || *value == 0 || *value > 1'000'000 || scale == 0) {
      return refused(expression, "want @every and a number of s, m or h");
    }
    Schedule schedule;
    schedule.period_ = seconds(std::int64_t{*value} * scale);
    return schedule;
  }
  return refused(expression, "want rate(...), cron(...) or @every");
}

Result<Schedule> Schedule::parse_rate(std::string_view text) {
  const std::size_t space = text.find(' ');
  const auto value = number(text.substr(0, space));
  const std::string_view unit = space == text.npos ? "" : text.substr(space + 1);
  if (!value || *value == 0 || *value > 1'000'000) {
    return refused(text, "want a whole number above 0");
  }
  const std::pair<std::string_view, unsigned> units[] = {
      {"minute", 60}, {"hour", 3600}, {"day", 86'400}};
  for (const auto& [name, scale] : units) {
    if (unit != cat(name, *value == 1 ? "" : "s")) continue;  // EventBridge insists
    Schedule schedule;
    schedule.period_ = seconds(std::int64_t{*value} * scale);
    return schedule;
  }
  return refused(text, "want minute, hour or day, and minutes, hours or days of more than 1");
}

Result<Schedule> Schedule::parse_cron(std::string_view text) {
  std::vector<std::string_view> fields;
  each_part(text, ' ', [&](std::string_view field) {
    if (!field.empty()) fields.push_back(field);
    return fields.size() <= 6;
  });
  if (fields.size() != 6) {
    return refused(text,
                   "want six fields: minutes, hours, day of the month, month, day of the "
                   "week, year");
  }
  Schedule out;
  if (!read_list(fields[0], {0, 59}, [&](unsigned value) { out.minutes_.set(value); })) {
    return refused(text, "minutes: want 0-59 , - * /");
  }
  if (!read_list(fields[1], {0, 23}, [&](unsigned value) { out.hours_.set(value); })) {
    return refused(text, "hours: want 0-23 , - * /");
  }
  if (!read_list(fields[3], {1, 12, kMonths, 1}, [&](unsigned value) { out.months_.set(value); })) {
    return refused(text, "month: want 1-12 or JAN-DEC , - * /");
  }
  if (!read_list(fields[5], {kYearMin, kYearMax},
                 [&](unsigned value) { out.years_.set(value - kYearMin); })) {
    return refused(text, "year: want 1970-2199 , - * /");
  }
  if ((fields[2] == "?") == (fields[4] == "?")) {
    return refused(text, "one of the two days, and one only, is '?'");
  }
  const bool of_week = fields[2] == "?";
  if (!out.parse_day(fields[of_week ? 4 : 2], of_week)) {
    return refused(text, of_week ? "day of the week: want 1-7 or SUN-SAT , - * / L #"
                                 : "day of the month: want 1-31 , - * / L W");
  }
  return out;
}

Result<Done> Schedule::parse_day(std::string_view field, bool of_week) {
  const Words words = of_week ? Words{1, 7, kDays, 1} : Words{1, 31};
  const Error wrong = fail(Code::kInvalid, "day");
  if (field == "L") {
    if (of_week) {
      weekdays_.set(6);  // the last of the week
    } else {
      rules_.push_back({DayRule::Kind::kLast, 0, 0});
    }
    return Done{};
  }
  if (!of_week && field == "LW") {
    rules_.push_back({DayRule::Kind::kLastWeekday, 0, 0});
    return Done{};
  }
  if (!of_week && field.ends_with('W')) {
    const auto day = value_of(field.substr(0, field.size() - 1), words);
    if (!day) return wrong;
    rules_.push_back({DayRule::Kind::kNearestWeekday, *day, 0});
    return Done{};
  }
  if (const std::size_t hash = field.find('#'); of_week && hash != field.npos) {
    const auto day = value_of(field.substr(0, hash), words);
    const auto nth = number(field.substr(hash + 1));
    if (!day || !nth || *nth == 0 || *nth > 5) return wrong;
    rules_.push_back({DayRule::Kind::kNth, *day - 1, *nth});
    return Done{};
  }
  if (of_week && field.size() > 1 && field.ends_with('L')) {
    const auto day = value_of(field.substr(0, field.size() - 1), words);
    if (!day) return wrong;
    rules_.push_back({DayRule::Kind::kLastOf, *day - 1, 0});
    return Done{};
  }
  const bool read = read_list(field, words, [&](unsigned value) {
    if (of_week) {
      weekdays_.set(value - 1);
    } else {
      days_.set(value);
    }
  });
  if (!read) return wrong;
  return Done{};
}

bool Schedule::fits(year_month_day date) const {
  const int year = static_cast<int>(date.year());
  const unsigned day = unsigned{date.day()};
  if (year < kYearMin || year > kYearMax || !years_[static_cast<std::size_t>(year - kYearMin)] ||
      !months_[unsigned{date.month()}]) {
    return false;
  }
  const unsigned of_week = weekday(sys_days(date)).c_encoding();
  if (days_[day] || weekdays_[of_week]) return true;
  const year_month month = date.year() / date.month();
  const unsigned end = last_day(month);
  for (const DayRule& rule : rules_) {
    switch (rule.kind) {
      case DayRule::Kind::kLast:
        if (day == end) return true;
        break;
      case DayRule::Kind::kLastWeekday:
        if (day == nearest_weekday(month, end)) return true;
        break;
      case DayRule::Kind::kNearestWeekday:
        if (rule.day <= end && day == nearest_weekday(month, rule.day)) return true;
        break;
      case DayRule::Kind::kNth:
        if (of_week == rule.day && (day - 1) / 7 + 1 == rule.nth) return true;
        break;
      case DayRule::Kind::kLastOf:
        if (of_week == rule.day && day + 7 > end) return true;
        break;
    }
  }
  return false;
}

std::optional<Clock::Wall> Schedule::next(Clock::Wall time) const {
  if (period_) return time + *period_;
  const auto from = floor<minutes>(time) + minutes(1);
  sys_days date = floor<days>(from);
  const sys_days end = year(kYearMax) / December / 31;
  for (; date <= end; date += days(1)) {
    if (!fits(year_month_day(date))) continue;
    for (unsigned hour = 0; hour < 24; ++hour) {
      if (!hours_[hour]) continue;
      for (unsigned minute = 0; minute < 60; ++minute) {
        const auto candidate = date + hours(hour) + minutes(minute);
        if (minutes_[minute] && candidate >= from) return Clock::Wall(candidate);
      }
    }
  }
  return std::nullopt;
}

}  // namespace thaw::triggers
