// What quantised arithmetic costs: our logits beside those of the reference, position by position.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "handler/model/engine.h"

namespace thaw::reference {

// Natural logarithms throughout.
struct Difference {
  std::size_t positions = 0;
  double mean_kl = 0;  // sum of p * log(p / q), p the reference's distribution, q ours
  double p99_kl = 0;   // the least that 99 of 100 positions do not exceed
  double top1_agreement = 0;  // share of positions whose likeliest token is the same
  // By how much the reference's likeliest token led its second (logits), at most, where ours is
  // another; absent where they agree everywhere.
  std::optional<double> margin_max;
  double mean_nll = 0;  // of the reference, over the positions whose next token is known; else 0
};

// One thread at a time. Keeps a number per position.
class Comparison {
 public:
  // Takes the next position. `next`: the token that follows in the text.
  //   reference, ours  [vocabulary]
  // Errors: kCorrupt  a logit of the reference is not finite
  // Precondition: ours is finite.
  Result<Done> add(std::span<const float> reference, std::span<const float> ours,
                   std::optional<model::Token> next);

  // Precondition: a position was added.
  Difference difference() const;

 private:
  std::vector<double> kl_;
  std::size_t agreed_ = 0;
  std::optional<double> margin_max_;
  double nll_ = 0;
  std::size_t predicted_ = 0;
};

}  // namespace thaw::reference
