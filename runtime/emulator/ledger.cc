#include "runtime/emulator/ledger.h"

#include <algorithm>

#include "runtime/cost/bill.h"

namespace thaw::emulator {

std::string_view name_of(Ending ending) {
  constexpr std::array<std::string_view, 6> kNames = {"answered",  "failed",      "timeout",
                                                      "throttled", "unavailable", "lost"};
  return kNames[static_cast<std::size_t>(ending)];
}

void Ledger::add(const LedgerEntry& record) {
  {
    const std::lock_guard lock(mutex_);
    Totals& totals = totals_[record.function];
    ++totals.invocations;
    ++totals.by_ending[static_cast<std::size_t>(record.ending)];
    if (record.ran()) {
      ++(record.cold ? totals.cold : totals.warm);
      (record.cold ? totals.cold_times : totals.warm_times).add(record.waited + record.duration);
      totals.restores += record.restored ? 1 : 0;
      totals.answer_bytes += record.answer_bytes;
      totals.streamed_bytes +=
          cost::billed_stream_bytes(cost::Platform::kLambdaX86, record.answer_bytes);
      totals.billed_ms += record.billed_ms;
      totals.gb_seconds += static_cast<double>(record.billed_ms) / 1e3 *
                           static_cast<double>(record.memory_mb) / 1024;
      totals.memory_mb = record.memory_mb;
    }
    recent_.push_front(record);
    if (recent_.size() > kRecentMax) recent_.pop_back();
  }
  if (told_) told_(record);
}

std::map<std::string, Totals> Ledger::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

std::vector<LedgerEntry> Ledger::recent(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  return {recent_.begin(),
          recent_.begin() + static_cast<std::ptrdiff_t>(std::min(count, recent_.size()))};
}

}  // namespace thaw::emulator
