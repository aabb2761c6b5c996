#include "handler/reference/comparison.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/str.h"

namespace thaw::reference {
namespace {

std::size_t top_of(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// By how much the largest leads the second.
double margin_of(std::span<const float> logits, std::size_t top) {
  double second = -HUGE_VAL;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i != top) second = std::max(second, static_cast<double>(logits[i]));
  }
  return logits[top] - second;
}

}  // namespace

Result<Done> Comparison::add(std::span<const float> reference, std::span<const float> ours,
                             std::optional<model::Token> next) {
  THAW_CHECK(reference.size() == ours.size() && !ours.empty());
  for (const float x : reference) {
    if (!std::isfinite(x)) {
      return fail(Code::kCorrupt, cat("reference: position ", kl_.size(), " of those scored: a ",
                                      "logit is not finite; the weights are damaged"));
    }
  }
  const std::size_t top = top_of(reference);
  const std::size_t our_top = top_of(ours);
  const double p_top = reference[top];
  const double q_top = ours[our_top];
  // With p = exp(x - log P), q = exp(y - log Q): sum of p * (x - y), + log Q - log P.
  double p_sum = 0, q_sum = 0, weighted = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double x = reference[i] - p_top;
    const double y = ours[i] - q_top;
    const double p = std::exp(x);
    p_sum += p;
    q_sum += std::exp(y);
    weighted += p * (x - y);
  }
  // Never negative but for the rounding of these sums.
  kl_.push_back(std::max(weighted / p_sum + std::log(q_sum) - std::log(p_sum), 0.0));
  if (top == our_top) {
    ++agreed_;
  } else {
    margin_max_ = std::max(margin_max_.value_or(0), margin_of(reference, top));
  }
  if (next) {
    nll_ += std::log(p_sum) + p_top - reference[*next];
    ++predicted_;
  }
  return Done{};
}

Difference Comparison::difference() const {
  THAW_CHECK(!kl_.empty());
  const auto count = static_cast<double>(kl_.size());
  std::vector<double> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t p99 = (99 * sorted.size() + 99) / 100 - 1;  // nearest rank
  Difference out;
  out.positions = kl_.size();
  out.mean_kl = std::accumulate(kl_.begin(), kl_.end(), 0.0) / count;
  out.p99_kl = sorted[p99];
  out.top1_agreement = static_cast<double>(agreed_) / count;
  out.margin_max = margin_max_;
  if (predicted_ > 0) out.mean_nll = nll_ / static_cast<double>(predicted_);
  return out;
}

}  // namespace thaw::reference
