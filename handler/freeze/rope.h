// Rope frequencies at freeze time: base, scaling and per-pair divisors in, turns per position out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace thaw::freeze {

// How a model stretches its positions, in the words of Hugging Face's configs.
struct RopeScaling {
  enum class Type : std::uint8_t { kNone, kLinear, kLlama3, kYarn };
  Type type = Type::kNone;
  double factor = 1;
  double original_context = 0;      // kLlama3, kYarn
  double low_frequency_factor = 1;  // kLlama3
  double high_frequency_factor = 4;
  double beta_fast = 32;  // kYarn
  double beta_slow = 1;
  std::optional<double> attention_factor;  // kYarn; default 0.1 * ln(factor) + 1
};

struct Rope {
  std::vector<std::uint64_t> turns;  // [dims / 2]
  float factor = 1;                  // multiplies sine and cosine
};

// Frequencies of `dims` rotated dimensions (even, > 0) for `base` > 1. `divisors` divide them pair
// by pair (GGUF's rope_freqs); empty, or dims / 2 of them.
// Errors: kCorrupt (a number that is not finite or not positive where it must be).
Result<Rope> make_rope(std::uint32_t dims, double base, const RopeScaling& scaling,
                       std::span<const float> divisors);

}  // namespace thaw::freeze
