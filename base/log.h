// Log lines to stderr, one per event, spdlog behind one header. Only `runtime` logs: everything
// below returns errors. Prompts and outputs never enter a line.
#pragma once

#include <string_view>

#include "base/result.h"

namespace thaw {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : unsigned char { kText, kJson };  // as AWS_LAMBDA_LOG_FORMAT asks

// "debug", "info", "warn", "error", "off". Errors: kInvalid, naming these.
Result<LogLevel> parse_log_level(std::string_view name);

// While it lives, this thread's lines name the request: JSON's "requestId", text's after the level.
// One at a time on a thread; `request_id` outlives it.
class LogScope {
 public:
  explicit LogScope(std::string_view request_id);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;
};

// Sets the process's logger up; called once by main. Before that, warnings and errors are shown as
// text. Logging itself is thread-safe.
void set_up_log(LogLevel level, LogFormat format);

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warn(std::string_view message);
void log_error(std::string_view message);

}  // namespace thaw
