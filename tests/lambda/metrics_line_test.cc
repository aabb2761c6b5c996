#include "runtime/lambda/metrics_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

const MetricsLabels kLabels{"poems", "7", "smollm2"};
const Clock::Wall kNow{std::chrono::milliseconds(1'700'000'000'123)};

Json line_of(const handler::Outcome& outcome, bool cold,
             std::chrono::nanoseconds duration = 1500us) {
  const std::string line = metrics_line(kLabels, {"id-1", duration, outcome}, cold, kNow);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
  EXPECT_LT(line.size(), 4096u) << "a pipe takes no more at once";
  return Json::parse(line);
}

handler::Outcome generated() {
  handler::Outcome outcome;
  outcome.body = "what was said";
  outcome.usage = {12, 7, 10, 3};
  outcome.phases.prefill = 2ms;
  outcome.phases.decode = 40ms;
  outcome.phases.since_start = 9ms;
  return outcome;
}

// What CloudWatch demands: each metric that is defined has a number, each dimension a text.
void expect_embedded_metric_format(const Json& line) {
  const Json& head = line.at("_aws");
  EXPECT_EQ(head.at("Timestamp"), 1'700'000'000'123);
  const Json& directive = head.at("CloudWatchMetrics").at(0);
  EXPECT_EQ(directive.at("Namespace"), "thaw");
  for (const Json& dimension : directive.at("Dimensions").at(0)) {
    EXPECT_TRUE(line.at(dimension.get<std::string>()).is_string()) << dimension;
  }
  std::set<std::string> names;
  for (const Json& metric : directive.at("Metrics")) {
    const std::string name = metric.at("Name");
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    EXPECT_TRUE(line.at(name).is_number()) << name;
    EXPECT_TRUE(metric.at("Unit") == "Count" || metric.at("Unit") == "Milliseconds") << metric;
  }
  for (const auto& [name, value] : line.items()) {
    EXPECT_EQ(value.is_number(), names.contains(name)) << name;
  }
}

TEST(MetricsLine, IsEmbeddedMetricFormatWithTokensAndPhases) {
  const Json line = line_of(generated(), true);
  expect_embedded_metric_format(line);
  EXPECT_EQ(line["FunctionName"], "poems");
  EXPECT_EQ(line["FunctionVersion"], "7");
  EXPECT_EQ(line["Model"], "smollm2");
  EXPECT_EQ(line["RequestId"], "id-1");
  EXPECT_EQ(line["Start"], "cold");
  EXPECT_EQ(line["ColdStarts"], 1);
  EXPECT_EQ(line["Errors"], 0);
  EXPECT_EQ(line["PromptTokens"], 12);
  EXPECT_EQ(line["CompletionTokens"], 7);
  EXPECT_EQ(line["CachedTokens"], 10);
  EXPECT_EQ(line["ReasoningTokens"], 3);
  EXPECT_EQ(line["Duration"], 1.5);
  EXPECT_EQ(line["PrefillTime"], 2.0);
  EXPECT_EQ(line["DecodeTime"], 40.0);
  EXPECT_EQ(line["StartToFirstTokenTime"], 9.0);
  EXPECT_FALSE(line.contains("PrefixTime")) << "there was none";
}

TEST(MetricsLine, CountsFailuresAndWarmStarts) {
  handler::Outcome outcome;
  outcome.error = {"Function.InvalidRequest", "what was wrong with it"};
  const Json line = line_of(outcome, false);
  expect_embedded_metric_format(line);
  EXPECT_EQ(line["Start"], "warm");
  EXPECT_EQ(line["ColdStarts"], 0);
  EXPECT_EQ(line["Errors"], 1);
  EXPECT_EQ(line["PromptTokens"], 0);
}

TEST(MetricsLine, HoldsNothingThatWasSaid) {
  handler::Outcome outcome = generated();
  outcome.error = {"Function.Secret", "secret"};
  const std::string line = metrics_line(kLabels, {"id-1", 1ms, outcome}, false, kNow);
  EXPECT_EQ(line.find("what was said"), line.npos);
  EXPECT_EQ(line.find("ecret"), line.npos);
}

TEST(MetricsLine, StaysOneShortLineWhateverAFunctionIsCalled) {
  const MetricsLabels odd{std::string(5000, 'n'), "a\nb\"\\", "\xff\xc3\xa9"};
  const std::string line = metrics_line(odd, {"id\n1", 1ms, generated()}, true, kNow);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_LT(line.size(), 4096u);
  EXPECT_EQ(Json::parse(line)["FunctionVersion"], "a\nb\"\\");
}

}  // namespace
}  // namespace thaw::lambda
