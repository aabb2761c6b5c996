// What the platform says of an instance and its invocations: lines of the log, in text or JSON, and
// records of the Telemetry API. Words and shapes are AWS's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "runtime/emulator/invocation.h"

namespace thaw::emulator {

enum class LogFormat : unsigned char { kText, kJson };

struct PlatformEvent {
  std::string type;     // "platform.start"; empty: a line of the text log and nothing else
  std::string record;   // a JSON object
  std::string text;     // the line of the text log; empty: it has none
  bool detail = false;  // below INFO, the JSON log's level: for telemetry alone
};

// {"time", "type", "record"}: a line of the JSON log, an item of a telemetry batch. `record` is
// JSON.
std::string event_json(Clock::Wall time, std::string_view type, std::string_view record);
std::string json_string(std::string_view text);  // quoted; what is not UTF-8 is replaced

// Of an instance's start. `type`: on-demand, provisioned-concurrency, snap-start.
enum class InitPhase : unsigned char { kInit, kInvoke };  // kInvoke: the second attempt
PlatformEvent init_start(std::string_view type, InitPhase phase);
// `error_type` is empty where it succeeded, "timeout" where its time was over.
PlatformEvent init_runtime_done(std::string_view type, InitPhase phase,
                                std::string_view error_type);
PlatformEvent init_report(std::string_view type, InitPhase phase, std::chrono::nanoseconds duration,
                          std::string_view error_type);
PlatformEvent restore_start();
PlatformEvent restore_runtime_done(std::string_view error_type);
PlatformEvent restore_report(std::chrono::nanoseconds duration, std::string_view error_type);
PlatformEvent extension_state(std::string_view name, std::string_view state,
                              const std::vector<std::string>& events,
                              std::string_view error_type = {});
PlatformEvent telemetry_subscription(std::string_view name, const std::vector<std::string>& types);
PlatformEvent logs_dropped(std::size_t records, std::size_t bytes);

// Of an invocation.
struct Report {
  std::string request_id;
  std::string trace_id;
  std::chrono::nanoseconds duration{};
  std::optional<std::chrono::nanoseconds> init;     // of a cold start
  std::optional<std::chrono::nanoseconds> restore;  // the same under SnapStart
  std::chrono::nanoseconds latency{};               // until the answer began
  std::size_t produced_bytes = 0;
  std::uint32_t memory_mb = 0;
  std::uint64_t peak_bytes = 0;  // 0: not known
  std::string error_type;        // empty: it succeeded
  std::string timing;            // what the runtime said of its phases

  bool timed_out() const { return error_type == "Sandbox.Timedout"; }
  std::int64_t billed_ms() const;  // its duration and its start, rounded up
  std::uint64_t peak_mb() const;   // rounded up; at most memory_mb
};

PlatformEvent start_event(const Report& report);
PlatformEvent runtime_done_event(const Report& report, Clock::Wall begun);
PlatformEvent end_event(const Report& report);
// What the platform says of a failure; the functions' own they say themselves.
PlatformEvent failure_event(const Failure& failure);
PlatformEvent report_event(const Report& report);

}  // namespace thaw::emulator
