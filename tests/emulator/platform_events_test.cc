#include "runtime/emulator/platform_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

Report sample() {
  Report report;
  report.request_id = "r-1";
  report.trace_id = "Root=1-2";
  report.duration = 2599400us;
  report.latency = 2598ms;
  report.produced_bytes = 8;
  report.memory_mb = 128;
  report.peak_bytes = (93u << 20) + 1;
  return report;
}

TEST(PlatformEvents, AReportIsAwssLineAndRecord) {
  Report report = sample();
  report.init = 549040us;
  const PlatformEvent event = report_event(report);
  EXPECT_EQ(event.text,
            "REPORT RequestId: r-1\tDuration: 2599.40 ms\tBilled Duration: 3149 ms\tMemory Size: "
            "128 MB\tMax Memory Used: 94 MB\tInit Duration: 549.04 ms");
  EXPECT_EQ(Json::parse(event.record), Json::parse(R"({"requestId":"r-1","status":"success",
    "metrics":{"durationMs":2599.4,"billedDurationMs":3149,"memorySizeMB":128,
    "maxMemoryUsedMB":94,"initDurationMs":549.04},
    "tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-2"}})"));
}

TEST(PlatformEvents, AReportNeverUsesMoreThanThereIs) {
  Report report = sample();
  report.peak_bytes = 4ull << 30;
  EXPECT_EQ(report.peak_mb(), 128u);
}

TEST(PlatformEvents, AReportSaysHowItWentWrong) {
  Report report = sample();
  report.error_type = "Sandbox.Timedout";
  EXPECT_TRUE(report_event(report).text.ends_with("\tStatus: timeout"));
  EXPECT_EQ(Json::parse(report_event(report).record)["status"], "timeout");
  report.error_type = "Runtime.OutOfMemory";
  EXPECT_TRUE(
      report_event(report).text.ends_with("\tStatus: error\tError Type: Runtime.OutOfMemory"));
  EXPECT_EQ(Json::parse(report_event(report).record)["errorType"], "Runtime.OutOfMemory");
  EXPECT_FALSE(runtime_done_event(report, {}).detail) << "the log wants failures";
}

TEST(PlatformEvents, RuntimeDoneTellsBothSpans) {
  const Json record = Json::parse(runtime_done_event(sample(), Clock::Wall{} + 1s).record);
  EXPECT_EQ(record["metrics"], Json::parse(R"({"durationMs":2599.4,"producedBytes":8})"));
  EXPECT_EQ(record["spans"][0], Json::parse(R"({"name":"responseLatency",
    "start":"1970-01-01T00:00:01.000Z","durationMs":2598.0})"));
  EXPECT_EQ(record["spans"][1], Json::parse(R"({"name":"responseDuration",
    "start":"1970-01-01T00:00:03.598Z","durationMs":1.4})"));
}

TEST(PlatformEvents, AnInitIsALineWhereAwsWritesOne) {
  EXPECT_EQ(init_report("on-demand", InitPhase::kInit, 5ms, "").text, "");
  EXPECT_EQ(init_report("on-demand", InitPhase::kInit, 10s, "timeout").text,
            "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout");
  EXPECT_EQ(init_report("on-demand", InitPhase::kInvoke, 5ms, "Runtime.ExitError").text,
            "INIT_REPORT Init Duration: 5.00 ms\tPhase: invoke\tStatus: error\tError Type: "
            "Runtime.ExitError");
  EXPECT_EQ(init_report("provisioned-concurrency", InitPhase::kInit, 5ms, "").text,
            "INIT_REPORT Init Duration: 5.00 ms\tPhase: init");
  EXPECT_EQ(restore_report(12ms, "").text, "RESTORE_REPORT Restore Duration: 12.00 ms");
}

TEST(PlatformEvents, AnEventIsOneLineOfJsonWhateverItHolds) {
  const std::string line = event_json(Clock::Wall{}, "function", json_string("a \"b\"\n\xff"));
  EXPECT_THAT(line, testing::Not(testing::HasSubstr("\n")));
  const Json json = Json::parse(line);
  EXPECT_EQ(json["time"], "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(json["record"], "a \"b\"\n\xEF\xBF\xBD");
}

}  // namespace
}  // namespace thaw::emulator
