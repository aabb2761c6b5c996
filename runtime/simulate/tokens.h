// Token counts drawn for arrivals that have none.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "runtime/simulate/arrivals.h"

namespace thaw::simulate {

inline void draw_tokens(const TokenCounts& tokens, Random& random, Arrival& arrival) {
  const auto draw = [&](std::uint32_t median) {
    if (tokens.spread == 0) return median;
    const double drawn = median * std::exp(tokens.spread * static_cast<double>(random.normal()));
    return static_cast<std::uint32_t>(
        std::clamp(std::round(drawn), median == 0 ? 0.0 : 1.0, double{kTraceTokensMax}));
  };
  arrival.prompt_tokens = draw(tokens.prompt);
  arrival.output_tokens = draw(tokens.output);
}

}  // namespace thaw::simulate
