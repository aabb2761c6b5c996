// `thaw simulate` as a person types it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;

std::string file_with(std::string_view name, std::string_view text) {
  const std::string path = cat(testing::TempDir(), "thaw-simulate-", getpid(), "-", name);
  std::ofstream(path) << text;
  return path;
}

void expect_failure(const std::vector<std::string>& words, std::string_view part) {
  const Finished run = run_thaw(words);
  EXPECT_EQ(run.code, 1);
  EXPECT_TRUE(run.out.empty());
  EXPECT_EQ(run.err.find('\n'), run.err.size() - 1) << "not one line: " << run.err;
  EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
}

TEST(Simulate, ComparesPlatformsSizesAndPolicies) {
  const std::string svg = cat(testing::TempDir(), "thaw-simulate-", getpid(), ".svg");
  const Finished run = run_thaw({"simulate", "--rate", "2", "--for", "600", "--platform",
                                 "lambda-x86,lambda-arm,fc,cloud-run", "--memory", "1769,3008",
                                 "--policy", "fixed:60,histogram", "--svg", svg, "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(run.err.empty()) << run.err;
  const json all = json::parse(run.out, nullptr, false);
  ASSERT_EQ(all["setups"].size(), 16u);
  for (const json& row : all["setups"]) {
    EXPECT_GT(row["served"], 1000u);
    EXPECT_GT(row["cost_month"]["dollars"], 1);
  }
  std::ifstream file(svg);
  const std::string drawn{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(drawn.starts_with("<svg "));
  unlink(svg.c_str());
  const Finished table = run_thaw({"simulate", "--rate", "2", "--for", "600"});
  EXPECT_EQ(table.code, 0);
  EXPECT_NE(table.out.find("lambda-x86 1769 MB"), std::string::npos) << table.out;
}

TEST(Simulate, ReplaysATraceWithMeasuredPhasesAndOwnPrices) {
  const std::string trace =
      file_with("trace.csv", "at,prompt_tokens,output_tokens\n0,100,11\n1,100,11\n");
  const std::string phases =
      file_with("phases.json", R"({"start_ms":50,"overhead_ms":0,"prefill_tokens_per_s":1000,)"
                               R"("decode_tokens_per_s":100,"vcpus":1})");
  const std::string prices = file_with("prices.csv",
                                       "platform,item,from,value,unit,date,source\n"
                                       "lambda-x86,duration,0,1,USD/GB-s,2026-01-01,contract\n"
                                       "lambda-x86,request,0,0,USD,2026-01-01,contract\n");
  const Finished run = run_thaw(
      {"simulate", trace, "--measured", phases, "--prices", prices, "--memory", "2048", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json row = json::parse(run.out, nullptr, false)["setups"][0];
  EXPECT_EQ(row["cold"], 1);
  EXPECT_NEAR(row["latency"]["max_ms"].get<double>(), 250, 1);
  EXPECT_NEAR(row["latency"]["p50_ms"].get<double>(), 200, 1);
  EXPECT_NEAR(row["cost"]["dollars"].get<double>(), 2 * (0.25 + 0.2), 1e-6);
  unlink(trace.c_str());
  unlink(phases.c_str());
  unlink(prices.c_str());
}

TEST(Simulate, SaysInOneLineWhatItCannotTake) {
  const std::string bad = file_with("bad.csv", "at\n1\nsoon\n");
  expect_failure({"simulate", bad}, "line 3: found 'soon'");
  expect_failure({"simulate", "--prices", bad}, "line 1: found 'at'");
  expect_failure({"simulate", "--measured", bad}, "found no JSON object");
  expect_failure({"simulate", "/nowhere.csv"}, "/nowhere.csv");
  expect_failure({"simulate", "--platform", "azure"}, "found 'azure'");
  expect_failure({"simulate", "--policy", "fixed:soon"}, "found 'fixed:soon'");
  expect_failure({"simulate", "--policy", "fixed:-1"}, "policy");
  expect_failure({"simulate", "--memory", "64"}, "memory of 64 MB");
  expect_failure({"simulate", "--rate", "0"}, "rate 0");
  expect_failure({"simulate", "--for", "-1"}, "--for");
  expect_failure({"simulate", "--decode", "0"}, "decode_tokens_per_s 0");
  expect_failure({"simulate", "--provisioned", "2000"}, "provisioned 2000");
  expect_failure({"simulate", "--per-instance", "0"}, "invocations_per_instance 0");
  unlink(bad.c_str());
}

}  // namespace
}  // namespace thaw::end_to_end
