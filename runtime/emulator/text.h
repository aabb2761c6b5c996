// Small texts that several parts of the emulator write: times, ids, percent-decoding.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace thaw::emulator {

std::string iso_time(Clock::Wall time);                    // "2026-01-31T12:00:00.123Z"
std::string log_time(Clock::Wall time);                    // "12/Mar/2020:19:03:58 +0000"
std::string seconds_text(std::chrono::milliseconds time);  // "3.00"
// "%41" becomes "A"; `plus_is_space` as in query strings. A '%' without two hex digits stays.
std::string percent_decode(std::string_view text, bool plus_is_space);
std::string lower_case(std::string_view text);  // ASCII
// The decoded value of a query's first parameter of this name.
std::optional<std::string> query_value(std::string_view query, std::string_view name);
// The middle of `path` between `before` and `after`, if that is how it looks; a '/' at the end is
// no part of it.
std::optional<std::string_view> between(std::string_view path, std::string_view before,
                                        std::string_view after);

// Well-formed ids that nobody else has. Not secrets. Thread-safe.
class Ids {
 public:
  explicit Ids(std::uint64_t seed) : random_(seed) {}
  std::string request_id();               // a version 4 UUID
  std::string trace_id(Clock::Wall now);  // "Root=1-TIME-ID;Parent=ID;Sampled=0"

 private:
  std::string hex(std::size_t digits);
  std::mutex mutex_;
  Random random_;  // guarded by mutex_
};

}  // namespace thaw::emulator
