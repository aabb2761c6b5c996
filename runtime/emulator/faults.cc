#include "runtime/emulator/faults.h"

#include <charconv>
#include <utility>

#include "base/random.h"
#include "base/str.h"

namespace thaw::emulator {
namespace {

struct Known {
  std::string_view name;
  bool has_amount;
};
constexpr std::array<Known, kFaultKindCount> kKnown = {{{"kill-at", true},
                                                        {"slow-network", true},
                                                        {"latency", true},
                                                        {"lost-response", false},
                                                        {"throttle", false},
                                                        {"init-crash", false},
                                                        {"init-hang", false}}};
constexpr std::uint64_t kAmountMax = 1'000'000'000;

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The text up to the next ':', which is taken away.
std::string_view take_word(std::string_view& text) {
  const std::size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  text = colon == text.npos ? std::string_view() : text.substr(colon + 1);
  return word;
}

}  // namespace

Result<Fault> parse_fault(std::string_view text) {
  const auto invalid = [&](std::string_view what) {
    return fail(Code::kInvalid, cat("fault '", text, "': ", what));
  };
  std::string_view rest = text;
  const std::string_view name = take_word(rest);
  std::size_t kind = 0;
  while (kind < kKnown.size() && kKnown[kind].name != name) ++kind;
  if (kind == kKnown.size()) {
    return invalid(
        "wanted kill-at:BYTES, slow-network:BYTES_PER_SECOND, latency:MS, lost-response, throttle, "
        "init-crash or init-hang, each with :CHANCE behind it or without");
  }
  Fault fault;
  fault.kind = static_cast<FaultKind>(kind);
  if (kKnown[kind].has_amount) {
    const auto amount = number_in<std::uint64_t>(take_word(rest));
    const std::uint64_t min = fault.kind == FaultKind::kSlowNetwork ? 1 : 0;
    if (!amount || *amount < min || *amount > kAmountMax) {
      return invalid(
          cat("wanted a number from ", min, " to ", kAmountMax, " behind '", name, ":'"));
    }
    fault.amount = *amount;
  }
  if (!rest.empty() || text.ends_with(':')) {
    const auto chance = number_in<double>(rest);
    if (!chance || !(*chance >= 0 && *chance <= 1)) return invalid("wanted a chance from 0 to 1");
    fault.chance = *chance;
  }
  return fault;
}

Faults::Faults(std::vector<Fault> faults, std::uint64_t seed) : seed_(seed) {
  std::array<std::size_t, kFaultKindCount> counts{};
  for (const Fault& fault : faults) ++counts[static_cast<std::size_t>(fault.kind)];
  for (std::size_t kind = 0; kind < kFaultKindCount; ++kind) {
    dice_[kind] = std::vector<Die>(counts[kind]);
  }
  counts = {};
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const auto kind = static_cast<std::size_t>(faults[i].kind);
    Die& die = dice_[kind][counts[kind]++];
    die.index = i;
    die.fault = faults[i];
  }
}

std::optional<std::uint64_t> Faults::draw(FaultKind kind) {
  std::optional<std::uint64_t> drawn;
  for (Die& die : dice_[static_cast<std::size_t>(kind)]) {
    const std::uint64_t n = die.throws.fetch_add(1);
    Random random(seed_ ^ (n * 0x9E3779B97F4A7C15u) ^ (std::uint64_t{die.index} << 56));
    if (random.unit() < die.fault.chance && !drawn) drawn = die.fault.amount;
  }
  return drawn;
}

}  // namespace thaw::emulator
