#include "runtime/emulator/ledger.h"

#include <gtest/gtest.h>

#include <string>

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

LedgerEntry record(Ending ending, bool cold = false) {
  LedgerEntry record;
  record.function = "chat";
  record.ending = ending;
  record.cold = cold;
  record.waited = 2ms;
  record.duration = 8ms;
  record.billed_ms = 10;
  record.memory_mb = 2048;
  return record;
}

TEST(Ledger, CountsWhatRanApartFromWhatDidNot) {
  Ledger ledger;
  for (const Ending ending : {Ending::kAnswered, Ending::kFailed, Ending::kTimedOut,
                              Ending::kThrottled, Ending::kUnavailable, Ending::kLost}) {
    ledger.add(record(ending, ending == Ending::kFailed));
  }
  const Totals totals = ledger.totals().at("chat");
  EXPECT_EQ(totals.invocations, 6u);
  EXPECT_EQ(totals.of(Ending::kThrottled), 1u);
  EXPECT_EQ(totals.cold, 1u);
  EXPECT_EQ(totals.warm, 3u);
  EXPECT_EQ(totals.billed_ms, 40);
  EXPECT_DOUBLE_EQ(totals.gb_seconds, 4 * 0.010 * 2);
  EXPECT_NEAR(static_cast<double>(totals.warm_times.at(0.5).count()), 10e6, 0.1e6);
}

TEST(Ledger, SumsWhatIsBilledForHavingBeenStreamed) {
  Ledger ledger;
  for (const std::size_t megabytes : {7, 6, 1, 8}) {
    LedgerEntry one = record(Ending::kAnswered);
    one.answer_bytes = megabytes << 20;
    ledger.add(one);
  }
  const Totals totals = ledger.totals().at("chat");
  EXPECT_EQ(totals.answer_bytes, 22u << 20);
  EXPECT_EQ(totals.streamed_bytes, 3u << 20);
}

TEST(Ledger, KeepsTheNewestAndOnlySoMany) {
  Ledger ledger;
  for (int i = 0; i < 500; ++i) {
    LedgerEntry one = record(Ending::kAnswered);
    one.request_id = std::to_string(i);
    ledger.add(one);
  }
  const auto recent = ledger.recent(1000);
  ASSERT_EQ(recent.size(), Ledger::kRecentMax);
  EXPECT_EQ(recent.front().request_id, "499");
  EXPECT_EQ(ledger.recent(2).size(), 2u);
}

}  // namespace
}  // namespace thaw::emulator
