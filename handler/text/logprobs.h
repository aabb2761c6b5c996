// How likely a model finds tokens, from its logits: natural logarithms of their softmax. The same
// bits on every machine, as all that follows from logits.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "handler/text/tokenizer.h"

namespace thaw::text {

struct TokenLogprob {
  Token token = 0;
  double logprob = 0;
};

// The chosen token's, then those of the `top` likeliest, descending; ties by ascending id.
// Precondition: logits are finite, `chosen` is one of them.
std::vector<TokenLogprob> token_logprobs(std::span<const float> logits, Token chosen,
                                         std::size_t top);

}  // namespace thaw::text
