#include "runtime/emulator/passage.h"

#include <algorithm>
#include <chrono>

#include "runtime/emulator/fleet.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSlowPieces = 20;                 // a second, on a slow network
constexpr std::chrono::nanoseconds kSleepSlice = 50ms;  // how late a stop is noticed

}  // namespace

Dealt deal(Faults& faults) {
  return {faults.draw(FaultKind::kKillAt), faults.draw(FaultKind::kSlowNetwork),
          faults.draw(FaultKind::kLatency), faults.draw(FaultKind::kLostResponse).has_value()};
}

void Passage::sleep(std::chrono::nanoseconds time) {
  const auto until = clock_.now() + time;
  while (clock_.now() < until && !stopped_()) {
    clock_.sleep_until(std::min(until, clock_.now() + kSleepSlice));
  }
}

void Passage::begin(const AnswerHead& head) {
  if (dealt_.latency_ms) sleep(std::chrono::milliseconds(*dealt_.latency_ms));
  if (!dealt_.lost) caller_.begin(head);
}

bool Passage::part(std::string_view bytes) {
  const bool kills = dealt_.kill_at && bytes_ + bytes.size() >= *dealt_.kill_at;
  if (kills)
    bytes = bytes.substr(0, *dealt_.kill_at - std::min<std::size_t>(bytes_, *dealt_.kill_at));
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const std::uint64_t rate = dealt_.bytes_per_second.value_or(0);
    const std::size_t piece =
        rate == 0 ? bytes.size() : std::clamp<std::size_t>(rate / kSlowPieces, 1, bytes.size());
    if (!dealt_.lost) caller_.part(bytes.substr(0, piece));
    bytes.remove_prefix(piece);
    if (rate > 0) sleep(std::chrono::nanoseconds(1'000'000'000 * piece / rate));
  }
  return !kills;
}

}  // namespace thaw::emulator
