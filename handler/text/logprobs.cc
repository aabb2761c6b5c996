#include "handler/text/logprobs.h"

#include <algorithm>

#include "base/check.h"
#include "handler/text/portable_math.h"

namespace thaw::text {

std::vector<TokenLogprob> token_logprobs(std::span<const float> logits, Token chosen,
                                         std::size_t top) {
  THAW_CHECK(chosen < logits.size());
  const double best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += portable_exp(static_cast<double>(logit) - best);
  const double base = best + portable_log(sum);
  const auto of = [&](std::size_t token) {
    return TokenLogprob{static_cast<Token>(token), static_cast<double>(logits[token]) - base};
  };
  std::vector<TokenLogprob> result = {of(chosen)};
  top = std::min(top, logits.size());
  if (top == 0) return result;
  // A heap of the best so far: one pass, `top` entries, whatever the vocabulary.
  const auto is_before = [&](Token a, Token b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::vector<Token> heap;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<Token>(i);
    if (heap.size() == top && !is_before(token, heap.front())) continue;
    if (heap.size() == top) {
      std::pop_heap(heap.begin(), heap.end(), is_before);
      heap.pop_back();
    }
    heap.push_back(token);
    std::push_heap(heap.begin(), heap.end(), is_before);
  }
  std::sort_heap(heap.begin(), heap.end(), is_before);
  for (const Token token : heap) result.push_back(of(token));
  return result;
}

}  // namespace thaw::text
