#include "runtime/simulate/azure.h"

#include <algorithm>
#include <charconv>

#include "base/random.h"
#include "base/str.h"
#include "runtime/simulate/tokens.h"

namespace thaw::simulate {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMinutes = 1440;
constexpr std::size_t kColumnsBefore = 4;        // HashOwner, HashApp, HashFunction, Trigger
constexpr std::uint32_t kCountMax = 10'000'000;  // in a minute, of all functions: 16 bytes each

struct Cell {
  std::uint32_t function, count;
};

// Holds the day's counts, minute by minute; arrivals of one minute are drawn when it comes.
class FunctionsTrace final : public Arrivals {
 public:
  explicit FunctionsTrace(const TraceOptions& options)
      : options_(options), random_(options.seed), minutes_(kMinutes) {}

  Result<Done> read(Lines& lines) {
    std::vector<std::string_view> fields;
    std::uint32_t function = 0;
    std::size_t cells = 0;
    std::vector<std::uint64_t> sums(kMinutes);
    while (true) {
      THAW_TRY(line, lines.next());
      if (!line) return Done{};
      if (line->empty()) continue;
      split_fields(*line, fields);
      if (fields.size() != kColumnsBefore + kMinutes) {
        return lines.wrong(cat(fields.size(), " fields"), cat(kColumnsBefore + kMinutes));
      }
      if (function >= kTraceFunctionsMax) {
        return lines.wrong("another function", cat("at most ", kTraceFunctionsMax));
      }
      for (std::size_t minute = 0; minute < kMinutes; ++minute) {
        const std::string_view text = fields[kColumnsBefore + minute];
        std::uint32_t count = 0;
        const auto end = std::from_chars(text.data(), text.data() + text.size(), count);
        if (end.ec != std::errc() || end.ptr != text.data() + text.size() || count > kCountMax) {
          return lines.wrong(text, cat("a count, 0 to ", kCountMax));
        }
        if (count == 0) continue;
        if ((sums[minute] += count) > kCountMax) {
          return lines.wrong(cat(sums[minute], " invocations in minute ", minute + 1),
                             cat("at most ", kCountMax, " of all functions"));
        }
        if (++cells > kTraceCountsMax) {
          return lines.wrong("more minutes with invocations", cat("at most ", kTraceCountsMax));
        }
        minutes_[minute].push_back({function, count});
      }
      ++function;
    }
  }

  Result<std::optional<Arrival>> next() override {
    while (at_ >= drawn_.size()) {
      if (minute_ >= kMinutes) return std::optional<Arrival>();
      draw(minute_++);
    }
    Arrival arrival;
    arrival.at = drawn_[at_].first;
    arrival.function = drawn_[at_++].second;
    draw_tokens(options_.tokens, random_, arrival);
    return std::optional(arrival);
  }

 private:
  void draw(std::size_t minute) {
    constexpr std::uint64_t kMinuteNs = 60'000'000'000;
    drawn_.clear();
    at_ = 0;
    for (const Cell& cell : minutes_[minute]) {
      for (std::uint32_t i = 0; i < cell.count; ++i) {
        drawn_.emplace_back(nanoseconds(minute * kMinuteNs + random_.below(kMinuteNs)),
                            cell.function);
      }
    }
    std::sort(drawn_.begin(), drawn_.end());
  }

  TraceOptions options_;
  Random random_;
  std::vector<std::vector<Cell>> minutes_;
  std::size_t minute_ = 0, at_ = 0;
  std::vector<std::pair<nanoseconds, std::uint32_t>> drawn_;
};

// "2023-11-16 18:15:46.6805900" since 1970; nothing where it is none.
std::optional<nanoseconds> time_in(std::string_view text) {
  int parts[6] = {};
  constexpr std::size_t kBegins[] = {0, 5, 8, 11, 14, 17};
  constexpr std::size_t kLengths[] = {4, 2, 2, 2, 2, 2};
  if (text.size() < 19) return std::nullopt;
  for (int i = 0; i < 6; ++i) {
    const char* begin = text.data() + kBegins[i];
    const auto end = std::from_chars(begin, begin + kLengths[i], parts[i]);
    if (end.ec != std::errc() || end.ptr != begin + kLengths[i]) return std::nullopt;
  }
  const bool separated = text[4] == '-' && text[7] == '-' && (text[10] == ' ' || text[10] == 'T') &&
                         text[13] == ':' && text[16] == ':';
  const std::chrono::year_month_day day(std::chrono::year(parts[0]),
                                        std::chrono::month(static_cast<unsigned>(parts[1])),
                                        std::chrono::day(static_cast<unsigned>(parts[2])));
  // Within what a count of nanoseconds can hold.
  if (!separated || !day.ok() || parts[0] < 1970 || parts[0] > 2200 || parts[3] > 23 ||
      parts[4] > 59 || parts[5] > 60) {
    return std::nullopt;
  }
  double fraction = 0;
  if (text.size() > 19) {
    const bool has_digits = text[19] == '.' && text.size() > 20;
    const auto tail = has_digits ? number_in(cat("0", text.substr(19)), 1) : std::nullopt;
    if (!tail) return std::nullopt;
    fraction = *tail;
  }
  const auto days = std::chrono::sys_days(day).time_since_epoch();
  return days + std::chrono::hours(parts[3]) + std::chrono::minutes(parts[4]) +
         std::chrono::seconds(parts[5]) + nanoseconds(static_cast<std::int64_t>(fraction * 1e9));
}

class LlmTrace final : public Arrivals {
 public:
  explicit LlmTrace(Lines lines) : lines_(std::move(lines)) {}

  Result<std::optional<Arrival>> next() override {
    std::string_view line;
    do {
      THAW_TRY(read, lines_.next());
      if (!read) return std::optional<Arrival>();
      line = *read;
    } while (line.empty());
    split_fields(line, fields_);
    if (fields_.size() != 3) return lines_.wrong(cat(fields_.size(), " fields"), "3");
    const auto time = time_in(fields_[0]);
    if (!time) return lines_.wrong(fields_[0], "a time, YYYY-MM-DD HH:MM:SS.FFF");
    if (!begin_) begin_ = last_ = *time;
    if (*time < last_) {
      return lines_.wrong(fields_[0], "arrivals in order of time; sort the trace");
    }
    last_ = *time;
    Arrival arrival;
    arrival.at = *time - *begin_;
    for (const int i : {1, 2}) {
      const std::string_view text = fields_[static_cast<std::size_t>(i)];
      const auto count = number_in(text, kTraceTokensMax);
      if (!count) return lines_.wrong(text, "a whole number, 0 to 10000000");
      (i == 1 ? arrival.prompt_tokens : arrival.output_tokens) = static_cast<std::uint32_t>(*count);
    }
    return std::optional(arrival);
  }

 private:
  Lines lines_;
  std::vector<std::string_view> fields_;
  std::optional<nanoseconds> begin_;
  nanoseconds last_{0};
};

}  // namespace

Result<std::unique_ptr<Arrivals>> open_azure_functions(Lines lines, std::string_view heading,
                                                       const TraceOptions& options) {
  std::vector<std::string_view> fields;
  split_fields(heading, fields);
  const bool sound = fields.size() == kColumnsBefore + kMinutes && fields[3] == "Trigger" &&
                     fields[kColumnsBefore] == "1" && fields.back() == cat(kMinutes);
  if (!sound) {
    return lines.wrong(heading, "HashOwner,HashApp,HashFunction,Trigger,1,2,...,1440");
  }
  auto trace = std::make_unique<FunctionsTrace>(options);
  THAW_TRY_DO(trace->read(lines));
  return std::unique_ptr<Arrivals>(std::move(trace));
}

Result<std::unique_ptr<Arrivals>> open_azure_llm(Lines lines, std::string_view heading,
                                                 const TraceOptions&) {
  if (heading != "TIMESTAMP,ContextTokens,GeneratedTokens") {
    return lines.wrong(heading, "TIMESTAMP,ContextTokens,GeneratedTokens");
  }
  return std::unique_ptr<Arrivals>(std::make_unique<LlmTrace>(std::move(lines)));
}

}  // namespace thaw::simulate
