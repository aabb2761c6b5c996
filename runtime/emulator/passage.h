// The way of an answer from its pipe to its caller, and the faults that lie on it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "runtime/emulator/faults.h"
#include "runtime/emulator/invocation.h"

namespace thaw::emulator {

class Caller;

// Which faults one invocation has been dealt.
struct Dealt {
  std::optional<std::uint64_t> kill_at, bytes_per_second, latency_ms;
  bool lost = false;
};
Dealt deal(Faults& faults);

// One thread at a time.
class Passage {
 public:
  // `stopped` ends what is slow on purpose.
  Passage(const Dealt& dealt, Caller& caller, Clock& clock, std::function<bool()> stopped)
      : dealt_(dealt), caller_(caller), clock_(clock), stopped_(std::move(stopped)) {}

  void begin(const AnswerHead& head);
  // False: so much has passed that the instance is to be killed, and nothing more will pass.
  bool part(std::string_view bytes);
  std::size_t bytes() const { return bytes_; }  // that came, passed on or not

 private:
  void sleep(std::chrono::nanoseconds time);

  const Dealt dealt_;
  Caller& caller_;
  Clock& clock_;
  const std::function<bool()> stopped_;
  std::size_t bytes_ = 0;
};

}  // namespace thaw::emulator
