// Faults on purpose: which of them, how often, and the same ones in the same order for one seed.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::emulator {

enum class FaultKind : unsigned char {
  kKillAt,        // the instance, once this many bytes of an answer have passed
  kSlowNetwork,   // an answer passes at this many bytes a second
  kLatency,       // an answer begins this many milliseconds late
  kLostResponse,  // the function runs, its caller's connection breaks
  kThrottle,      // refused as if its concurrency were used up
  kInitCrash,     // a start ends with exit status 1
  kInitHang,      // a start never asks for an event
};
inline constexpr std::size_t kFaultKindCount = 7;

struct Fault {
  FaultKind kind = FaultKind::kThrottle;
  std::uint64_t amount = 0;  // bytes, bytes a second, milliseconds; 0 of the kinds without
  double chance = 1;         // of an invocation, or a start
};

// "kill-at:N[:P]", "slow-network:N[:P]", "latency:N[:P]", "lost-response[:P]", "throttle[:P]",
// "init-crash[:P]", "init-hang[:P]". Errors: kInvalid, naming them.
Result<Fault> parse_fault(std::string_view text);

// Thread-safe. Each fault throws dice of its own, so that one more fault changes nothing of the
// others; which invocation gets which throw is decided by the order in which they ask.
class Faults {
 public:
  Faults(std::vector<Fault> faults, std::uint64_t seed);

  // Whether the next invocation (or start) has a fault of this kind, and its amount.
  std::optional<std::uint64_t> draw(FaultKind kind);

 private:
  struct Die {
    std::size_t index = 0;
    Fault fault;
    std::atomic<std::uint64_t> throws{0};
  };
  const std::uint64_t seed_;
  std::array<std::vector<Die>, kFaultKindCount> dice_;
};

}  // namespace thaw::emulator
