// Where the time of a start and of an answer went, and how it is told: in the answer's `timings`,
// in the HTTP field Server-Timing, in one log line.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace thaw::handler {

// How an instance came to be ready, step by step. Told with its first answer alone.
struct StartTimes {
  // True: `origin` is the launcher's stamp (THAW_STARTED_NS); false: the first instruction of ours,
  // and what came before it is not known.
  bool from_launcher = false;
  Clock::Monotonic origin{};
  std::chrono::nanoseconds exec{};       // origin to our first instruction, and its settings
  std::chrono::nanoseconds map{};        // open and map, header and directory
  std::chrono::nanoseconds verify{};     // checksums of the small sections
  std::chrono::nanoseconds plan{};       // tensors, heads of prefixes
  std::chrono::nanoseconds tokenizer{};  // tokenizer, template, manifest
  std::chrono::nanoseconds engine{};     // kernels, threads
};

// The phases of one generation. Prefill includes read, and the checks of what is first used, a
// prefix too; first token includes all before it.
struct GenerationPhases {
  std::chrono::nanoseconds tokenise{};
  std::chrono::nanoseconds prefix{};       // finding and restoring one
  std::chrono::nanoseconds read{};         // waits for the disk, per thread
  std::chrono::nanoseconds prefill{};      // evaluating the prompt
  std::chrono::nanoseconds first_token{};  // from the beginning to the first token
  std::chrono::nanoseconds decode{};       // everything after the prompt
  std::chrono::nanoseconds since_start{};  // from the start's origin to the first token, if cold
};

// Those of a batch are the sums of its generations'.
GenerationPhases& operator+=(GenerationPhases& to, const GenerationPhases& from);

struct Phase {
  std::string_view name;  // "map"
  std::chrono::nanoseconds time;
};

// All phases in their order; those of the start only where `start` is not null.
struct Phases {
  std::array<Phase, 13> all;
  std::size_t count = 0;
  const Phase* begin() const { return all.data(); }
  const Phase* end() const { return all.data() + count; }
};
Phases phases_of(const GenerationPhases& generation, const StartTimes* start);

// The launcher's stamp as THAW_STARTED_NS has it: nanoseconds of the monotonic clock. Nothing where
// it is no such number.
std::optional<Clock::Monotonic> launcher_stamp(std::string_view text);

// "launcher" or "process": what `origin` is.
std::string_view clock_name(const StartTimes& start);

// Milliseconds with three decimals: no clock of ours says more.
double milliseconds(std::chrono::nanoseconds time);

// "exec;dur=0.612, map;dur=0.041": the value of the field Server-Timing. Phases that have not been
// yet are left out.
std::string server_timing(const GenerationPhases& generation, const StartTimes* start);

}  // namespace thaw::handler
