// How long a function's invocations take, as measured: what a simulation is fed with.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace thaw::simulate {

struct Phases {
  std::chrono::nanoseconds start = std::chrono::milliseconds(5);       // exec to ready for an event
  std::chrono::nanoseconds overhead = std::chrono::microseconds(200);  // of each invocation
  double prefill_tokens_per_s = 1000;
  double decode_tokens_per_s = 50;
  double vcpus = 1;  // that the rates were measured with

  // From the event to the first token: overhead and prefill.
  std::chrono::nanoseconds to_first_token(std::uint32_t prompt_tokens) const;
  // To the last: every token but the first is decoded, one after the other.
  std::chrono::nanoseconds to_end(std::uint32_t prompt_tokens, std::uint32_t output_tokens) const;
  // On fewer processors: slower in proportion, the start and the overhead too. More are taken to
  // bring nothing, since nothing was measured there.
  Phases on(double vcpus_given) const;
};

// Takes from a JSON document what it knows of: `start_ms`, `overhead_ms`, `prefill_tokens_per_s`,
// `decode_tokens_per_s`, `vcpus`, or their like in what `thaw bench --json` (rates, threads) and
// `thaw run --json` (timings, usage) print. The rest of `phases` stays.
// Errors: kInvalid  no JSON object, a value out of bounds, or nothing known in it; its name
Result<Phases> read_phases(std::string_view json, std::string_view name, Phases phases);
// Errors: kInvalid, naming the value that is not positive or beyond a year or 1e9 tokens/s.
Result<Done> check(const Phases& phases);

}  // namespace thaw::simulate
