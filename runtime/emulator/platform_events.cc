#include "runtime/emulator/platform_events.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double hundredths_of_ms(std::chrono::nanoseconds time) {
  return std::round(static_cast<double>(time.count()) / 1e4) / 100;
}

std::string ms_text(std::chrono::nanoseconds time) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f ms", static_cast<double>(time.count()) / 1e6);
  return text;
}

std::string_view name_of(InitPhase phase) { return phase == InitPhase::kInit ? "init" : "invoke"; }

void add_status(Json& record, std::string_view error_type) {
  const bool timeout = error_type == "timeout" || error_type == "Sandbox.Timedout";
  record["status"] = error_type.empty() ? "success" : timeout ? "timeout" : "error";
  if (!error_type.empty() && !timeout) record["errorType"] = error_type;
}

std::string status_text(std::string_view error_type) {
  if (error_type.empty()) return "";
  if (error_type == "timeout" || error_type == "Sandbox.Timedout") return "\tStatus: timeout";
  return cat("\tStatus: error\tError Type: ", error_type);
}

Json tracing_of(std::string_view trace_id) {
  return {{"type", "X-Amzn-Trace-Id"}, {"value", trace_id}};
}

}  // namespace

std::string json_string(std::string_view text) { return dump(Json(text)); }

std::string event_json(Clock::Wall time, std::string_view type, std::string_view record) {
  return cat(R"({"time":")", iso_time(time), R"(","type":")", type, R"(","record":)", record, "}");
}

PlatformEvent init_start(std::string_view type, InitPhase phase) {
  const Json record = {{"initializationType", type}, {"phase", name_of(phase)}};
  return {"platform.initStart", dump(record), "", true};
}

PlatformEvent init_runtime_done(std::string_view type, InitPhase phase,
                                std::string_view error_type) {
  Json record = {{"initializationType", type}, {"phase", name_of(phase)}};
  add_status(record, error_type);
  return {"platform.initRuntimeDone", dump(record), "", error_type.empty()};
}

PlatformEvent init_report(std::string_view type, InitPhase phase, std::chrono::nanoseconds duration,
                          std::string_view error_type) {
  Json record = {{"initializationType", type},
                 {"phase", name_of(phase)},
                 {"metrics", {{"durationMs", hundredths_of_ms(duration)}}}};
  add_status(record, error_type);
  // A start on demand that went well is told by its invocation's REPORT.
  const bool quiet = type == "on-demand" && phase == InitPhase::kInit && error_type.empty();
  std::string line;
  if (!quiet) {
    line = cat("INIT_REPORT Init Duration: ", ms_text(duration), "\tPhase: ", name_of(phase),
               status_text(error_type));
  }
  return {"platform.initReport", dump(record), std::move(line), quiet};
}

PlatformEvent restore_start() { return {"platform.restoreStart", "{}", "RESTORE_START", false}; }

PlatformEvent restore_runtime_done(std::string_view error_type) {
  Json record = Json::object();
  add_status(record, error_type);
  return {"platform.restoreRuntimeDone", dump(record), "", error_type.empty()};
}

PlatformEvent restore_report(std::chrono::nanoseconds duration, std::string_view error_type) {
  Json record = {{"metrics", {{"durationMs", hundredths_of_ms(duration)}}}};
  add_status(record, error_type);
  return {"platform.restoreReport", dump(record),
          cat("RESTORE_REPORT Restore Duration: ", ms_text(duration), status_text(error_type)),
          false};
}

PlatformEvent extension_state(std::string_view name, std::string_view state,
                              const std::vector<std::string>& events, std::string_view error_type) {
  Json record = {{"name", name}, {"state", state}, {"events", events}};
  std::string line = cat("EXTENSION\tName: ", name, "\tState: ", state, "\tEvents: [");
  for (std::size_t i = 0; i < events.size(); ++i) line += cat(i == 0 ? "" : ", ", events[i]);
  line += "]";
  if (!error_type.empty()) {
    record["errorType"] = error_type;
    line += cat("\tError Type: ", error_type);
  }
  return {"platform.extension", dump(record), std::move(line), false};
}

PlatformEvent telemetry_subscription(std::string_view name, const std::vector<std::string>& types) {
  const Json record = {{"name", name}, {"state", "Subscribed"}, {"types", types}};
  std::string line = cat("TELEMETRY\tName: ", name, "\tState: Subscribed\tTypes: [");
  for (std::size_t i = 0; i < types.size(); ++i) line += cat(i == 0 ? "" : ", ", types[i]);
  return {"platform.telemetrySubscription", dump(record), line + "]", false};
}

PlatformEvent logs_dropped(std::size_t records, std::size_t bytes) {
  const Json record = {{"reason", "Consumer seems to have fallen behind"},
                       {"droppedRecords", records},
                       {"droppedBytes", bytes}};
  return {"platform.logsDropped", dump(record), "", false};
}

std::int64_t Report::billed_ms() const {
  const auto start = init.value_or(std::chrono::nanoseconds(0));
  return std::chrono::ceil<std::chrono::milliseconds>(duration + start).count();
}

std::uint64_t Report::peak_mb() const {
  return std::min<std::uint64_t>((peak_bytes + (1 << 20) - 1) >> 20, memory_mb);
}

PlatformEvent start_event(const Report& report) {
  const Json record = {{"requestId", report.request_id},
                       {"version", "$LATEST"},
                       {"tracing", tracing_of(report.trace_id)}};
  return {"platform.start", dump(record),
          cat("START RequestId: ", report.request_id, " Version: $LATEST"), false};
}

PlatformEvent runtime_done_event(const Report& report, Clock::Wall begun) {
  Json record = {{"requestId", report.request_id}};
  add_status(record, report.error_type);
  record["metrics"] = {{"durationMs", hundredths_of_ms(report.duration)},
                       {"producedBytes", report.produced_bytes}};
  const auto answered = begun + std::chrono::duration_cast<Clock::Wall::duration>(report.latency);
  record["spans"] = {{{"name", "responseLatency"},
                      {"start", iso_time(begun)},
                      {"durationMs", hundredths_of_ms(report.latency)}},
                     {{"name", "responseDuration"},
                      {"start", iso_time(answered)},
                      {"durationMs", hundredths_of_ms(report.duration - report.latency)}}};
  record["tracing"] = tracing_of(report.trace_id);
  return {"platform.runtimeDone", dump(record), "", report.error_type.empty()};
}

PlatformEvent end_event(const Report& report) {
  return {"", "", cat("END RequestId: ", report.request_id), false};
}

PlatformEvent failure_event(const Failure& failure) {
  const bool names_type = failure.type != "Sandbox.Timedout";
  return {
      "", "",
      failure.line.empty() || !names_type ? failure.line : cat(failure.line, "\n", failure.type),
      false};
}

PlatformEvent report_event(const Report& report) {
  Json metrics = {{"durationMs", hundredths_of_ms(report.duration)},
                  {"billedDurationMs", report.billed_ms()},
                  {"memorySizeMB", report.memory_mb}};
  std::string line =
      cat("REPORT RequestId: ", report.request_id, "\tDuration: ", ms_text(report.duration),
          "\tBilled Duration: ", report.billed_ms(), " ms\tMemory Size: ", report.memory_mb, " MB");
  if (report.peak_bytes > 0) {
    metrics["maxMemoryUsedMB"] = report.peak_mb();
    line += cat("\tMax Memory Used: ", report.peak_mb(), " MB");
  }
  if (report.init) {
    metrics["initDurationMs"] = hundredths_of_ms(*report.init);
    line += cat("\tInit Duration: ", ms_text(*report.init));
  }
  if (report.restore) {
    metrics["restoreDurationMs"] = hundredths_of_ms(*report.restore);
    line += cat("\tRestore Duration: ", ms_text(*report.restore));
  }
  if (!report.timing.empty()) line += cat("\tTimings: ", report.timing);
  line += status_text(report.error_type);
  Json record = {{"requestId", report.request_id}, {"metrics", metrics}};
  record["tracing"] = tracing_of(report.trace_id);
  add_status(record, report.error_type);
  return {"platform.report", dump(record), std::move(line), false};
}

}  // namespace thaw::emulator
