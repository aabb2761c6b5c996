#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "base/str.h"

namespace thaw {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warn", "error", "off"};
constexpr std::array<std::string_view, 5> kJsonNames = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

LogLevel level_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug: return LogLevel::kDebug;
    case spdlog::level::info: return LogLevel::kInfo;
    case spdlog::level::warn: return LogLevel::kWarn;
    default: return LogLevel::kError;
  }
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::off;
}

// Length of the well-formed UTF-8 sequence at the front of `text`, 0 where there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && at(1) < 0xA0) || (lead == 0xF0 && at(1) < 0x90);
  const bool surrogate = lead == 0xED && at(1) >= 0xA0;
  const bool too_large = lead == 0xF4 && at(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

// Keeps an event on one line, and a JSON line valid, whatever a path or a peer's message holds.
template <class Out>
void append_escaped(Out& out, std::string_view text, bool json) {
  const auto put = [&](std::string_view piece) {
    out.append(piece.data(), piece.data() + piece.size());
  };
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 0) {
      put("\xEF\xBF\xBD");  // U+FFFD
    } else if (c < 0x20 || c == 0x7F) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\u%04x", c);
      put(c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : hex);
    } else {
      if (json && (c == '"' || c == '\\')) put("\\");
      put(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

std::string timestamp(std::chrono::system_clock::time_point when) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch());
  const std::time_t seconds = static_cast<std::time_t>(since.count() / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char milliseconds[8];
  std::snprintf(milliseconds, sizeof milliseconds, ".%03dZ",
                static_cast<int>(since.count() % 1000));
  return cat(std::string_view(text, length), static_cast<const char*>(milliseconds));
}

// Whom this thread works for; spdlog formats a line on the thread that logs it.
thread_local std::string_view current_request;

class Formatter final : public spdlog::formatter {
 public:
  explicit Formatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto put = [&](std::string_view piece) {
      out.append(piece.data(), piece.data() + piece.size());
    };
    const auto level = static_cast<std::size_t>(level_of(message.level));
    const std::string_view text(message.payload.data(), message.payload.size());
    if (format_ == LogFormat::kJson) {
      put("{\"timestamp\":\"");
      put(timestamp(message.time));
      put("\",\"level\":\"");
      put(kJsonNames[level]);
      if (!current_request.empty()) {
        put("\",\"requestId\":\"");
        append_escaped(out, current_request, true);
      }
      put("\",\"message\":\"");
      append_escaped(out, text, true);
      put("\"}\n");
    } else {
      put(timestamp(message.time));
      put(" ");
      put(kNames[level]);
      put(" ");
      if (!current_request.empty()) {
        append_escaped(out, current_request, false);
        put(" ");
      }
      append_escaped(out, text, false);
      put("\n");
    }
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<Formatter>(format_);
  }

 private:
  LogFormat format_;
};

// The one piece of state that a process cannot hand down: its standard error.
spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("thaw", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_level(spdlog::level::warn);
    made.set_formatter(std::make_unique<Formatter>(LogFormat::kText));
    return made;
  }();
  return instance;
}

// Passed as an argument, never as the format: a message may hold braces.
void write(spdlog::level::level_enum level, std::string_view message) {
  logger().log(level, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<LogLevel>(i);
  }
  return fail(Code::kInvalid,
              cat("log level '", name, "': wanted debug, info, warn, error or off"));
}

LogScope::LogScope(std::string_view request_id) { current_request = request_id; }
LogScope::~LogScope() { current_request = {}; }

void set_up_log(LogLevel level, LogFormat format) {
  logger().set_formatter(std::make_unique<Formatter>(format));
  logger().set_level(to_spdlog(level));
}

void log_debug(std::string_view message) { write(spdlog::level::debug, message); }
void log_info(std::string_view message) { write(spdlog::level::info, message); }
void log_warn(std::string_view message) { write(spdlog::level::warn, message); }
void log_error(std::string_view message) { write(spdlog::level::err, message); }

}  // namespace thaw
