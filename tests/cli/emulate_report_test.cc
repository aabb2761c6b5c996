#include "runtime/cli/emulate_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

namespace thaw::cli {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

emulator::LedgerEntry entry(emulator::Ending ending, bool cold) {
  emulator::LedgerEntry one;
  one.function = "chat";
  one.request_id = "r-1";
  one.ending = ending;
  one.cold = cold;
  one.waited = 3ms;
  one.init = 2ms;
  one.latency = 30ms;
  one.duration = 300ms;
  one.billed_ms = 1000;
  one.memory_mb = 2048;
  one.peak_mb = 103;
  one.answer_bytes = 12;
  if (ending == emulator::Ending::kFailed) one.error_type = "Runtime.ExitError";
  return one;
}

std::map<std::string, emulator::Totals> sample() {
  emulator::Ledger ledger;
  ledger.add(entry(emulator::Ending::kAnswered, true));
  ledger.add(entry(emulator::Ending::kAnswered, false));
  ledger.add(entry(emulator::Ending::kFailed, false));
  ledger.add(entry(emulator::Ending::kThrottled, false));
  return ledger.totals();
}

std::string printed(const std::map<std::string, emulator::Totals>& totals) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const to = ::open_memstream(&text, &size);
  print_report(totals, to);
  std::fclose(to);
  std::string out(text, size);
  std::free(text);
  return out;
}

TEST(EmulationReport, IsPricedAsLambdaPrices) {
  // Three requests at $0.20 a million and 3 s x 2 GB at $0.0000166667 a GB-second.
  EXPECT_NEAR(lambda_cost(sample().at("chat")).dollars(), 3 * 0.2e-6 + 6 * 0.0000166667, 1e-9);
  EXPECT_LT(lambda_cost(sample().at("chat"), true), lambda_cost(sample().at("chat")));
  // And a GB streamed beyond the first 6 MB of an answer.
  emulator::Totals streamed = sample().at("chat");
  const cost::Money before = lambda_cost(streamed);
  streamed.streamed_bytes = std::uint64_t{1} << 30;
  EXPECT_NEAR(lambda_cost(streamed).dollars() - before.dollars(), 0.008, 1e-9);
}

TEST(EmulationReport, TellsColdFromWarmAndNamesWhatWentWrong) {
  const std::string text = printed(sample());
  EXPECT_THAT(text, ContainsRegex("chat +cold +1 +303.00 ms"));
  EXPECT_THAT(text, ContainsRegex("\n +warm +2 +303"));
  EXPECT_THAT(text, ContainsRegex("\n +failed +1\n"));
  EXPECT_THAT(text, ContainsRegex("\n +throttled +1\n"));
  EXPECT_THAT(text, HasSubstr("chat: 3.000 s billed at 2048 MB, 6.000 GB-s: $"));
  EXPECT_EQ(printed({}), "nothing was invoked\n");
}

TEST(EmulationReport, IsOneLineOfJson) {
  const std::string text = report_json(sample());
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  const Json chat = Json::parse(text)["functions"]["chat"];
  EXPECT_EQ(chat["invocations"], 4);
  EXPECT_EQ(chat["endings"]["failed"], 1);
  EXPECT_EQ(chat["endings"]["throttled"], 1);
  EXPECT_EQ(chat["cold"]["count"], 1);
  EXPECT_NEAR(chat["warm"]["p95_ms"].get<double>(), 303, 3);
  EXPECT_EQ(chat["gb_seconds"], 6.0);
}

TEST(EmulationReport, HasALineForEachInvocation) {
  const Json ran = Json::parse(record_json(entry(emulator::Ending::kFailed, true)));
  EXPECT_EQ(ran["type"], "invocation");
  EXPECT_EQ(ran["ending"], "failed");
  EXPECT_EQ(ran["error_type"], "Runtime.ExitError");
  EXPECT_EQ(ran["init_ms"], 2.0);
  EXPECT_EQ(ran["billed_ms"], 1000);
  const Json refused = Json::parse(record_json(entry(emulator::Ending::kThrottled, false)));
  EXPECT_EQ(refused["ending"], "throttled");
  EXPECT_FALSE(refused.contains("billed_ms"));
  EXPECT_EQ(Json::parse(log_json({}, "a\n\xff"))["line"], "a\n\xEF\xBF\xBD");
}

}  // namespace
}  // namespace thaw::cli
