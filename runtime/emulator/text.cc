#include "runtime/emulator/text.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/str.h"

namespace thaw::emulator {
namespace {

std::tm utc(Clock::Wall time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return parts;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string iso_time(Clock::Wall time) {
  const std::tm parts = utc(time);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  char date[32];
  char text[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms.count() % 1000));
  return text;
}

std::string log_time(Clock::Wall time) {
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::tm parts = utc(time);
  char text[64];
  std::snprintf(text, sizeof text, "%02d/%s/%04d:%02d:%02d:%02d +0000", parts.tm_mday,
                kMonths[parts.tm_mon % 12], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                parts.tm_sec);
  return text;
}

std::string seconds_text(std::chrono::milliseconds time) {
  const auto hundredths = time.count() / 10;
  return cat(hundredths / 100, ".", hundredths / 10 % 10, hundredths % 10);
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2 && hex_value(text[i + 1]) >= 0 &&
        hex_value(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i] == '+' && plus_is_space ? ' ' : text[i]);
    }
  }
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string Ids::hex(std::size_t digits) {
  std::string out;
  for (std::size_t i = 0; i < digits; ++i) out.push_back("0123456789abcdef"[random_.below(16)]);
  return out;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (percent_decode(pair.substr(0, equals), true) != name) continue;
    return percent_decode(equals == pair.npos ? "" : pair.substr(equals + 1), true);
  }
  return std::nullopt;
}

std::optional<std::string_view> between(std::string_view path, std::string_view before,
                                        std::string_view after) {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (!path.starts_with(before) || !path.ends_with(after)) return std::nullopt;
  if (path.size() <= before.size() + after.size()) return std::nullopt;
  return path.substr(before.size(), path.size() - before.size() - after.size());
}

std::string Ids::request_id() {
  const std::lock_guard lock(mutex_);
  const char variant = "89ab"[random_.below(4)];
  return cat(hex(8), "-", hex(4), "-4", hex(3), "-", variant, hex(3), "-", hex(12));
}

std::string Ids::trace_id(Clock::Wall now) {
  const std::lock_guard lock(mutex_);
  char time[16];
  std::snprintf(time, sizeof time, "%08x",
                static_cast<unsigned>(std::chrono::system_clock::to_time_t(now)));
  return cat("Root=1-", time, "-", hex(24), ";Parent=", hex(16), ";Sampled=0");
}

}  // namespace thaw::emulator
