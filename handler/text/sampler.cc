#include "handler/text/sampler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str.h"
#include "handler/text/portable_math.h"

namespace thaw::text {
namespace {

// Tokens this much less likely than the best (in units of the temperature) are never drawn: all of
// a large vocabulary together have a probability below 1e-12.
constexpr double kHopeless = 40;
// How many candidates top_p sorts first; then four times as many, until they suffice.
constexpr std::size_t kSortedFirst = 256;

Result<Done> check_range(std::string_view field, float value, float low, float high) {
  if (value >= low && value <= high) return Done{};
  return fail(Code::kInvalid,
              cat("sampling: ", field, ": ", value, ", wanted ", low, " to ", high));
}

// A total order, so that every library's algorithms agree.
constexpr auto is_before = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

Token largest(std::span<const float> logits) {
  return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

Result<Done> validate(const SamplerOptions& options) {
  THAW_TRY_DO(check_range("temperature", options.temperature, 0, kTemperatureMax));
  THAW_TRY_DO(check_range("top_p", options.top_p, 0, 1));
  THAW_TRY_DO(check_range("min_p", options.min_p, 0, 1));
  THAW_TRY_DO(check_range("repetition_penalty", options.repetition_penalty,
                          1 / kRepetitionPenaltyMax, kRepetitionPenaltyMax));
  THAW_TRY_DO(check_range("presence_penalty", options.presence_penalty, -kPenaltyMax, kPenaltyMax));
  THAW_TRY_DO(
      check_range("frequency_penalty", options.frequency_penalty, -kPenaltyMax, kPenaltyMax));
  if (options.logit_bias.size() > kLogitBiasCountMax) {
    return fail(Code::kInvalid, cat("sampling: logit_bias: ", options.logit_bias.size(),
                                    " tokens, at most ", kLogitBiasCountMax));
  }
  for (const auto& [token, bias] : options.logit_bias) {
    THAW_TRY_DO(
        check_range(cat("logit_bias of token ", token), bias, -kLogitBiasMax, kLogitBiasMax));
  }
  return Done{};
}

Sampler::Sampler(const SamplerOptions& options, std::span<const Token> prompt,
                 std::size_t vocabulary)
    : options_(options), vocabulary_(vocabulary), random_(options.seed) {
  THAW_CHECK(vocabulary > 0);
  if (options.presence_penalty != 0 || options.frequency_penalty != 0) {
    generated_.resize(vocabulary);
  }
  if (options.repetition_penalty != 1) {
    seen_.resize(vocabulary);
    for (const Token token : prompt) {
      if (token < vocabulary) seen_[token] = true;
    }
  }
}

Token Sampler::sample(std::span<const float> logits) {
  THAW_CHECK(logits.size() >= vocabulary_);
  logits = adjust(logits.first(vocabulary_));
  const Token chosen = options_.temperature > 0 ? draw(logits) : largest(logits);
  if (!generated_.empty()) ++generated_[chosen];
  if (!seen_.empty()) seen_[chosen] = true;
  return chosen;
}

std::span<const float> Sampler::adjust(std::span<const float> logits) {
  if (options_.logit_bias.empty() && seen_.empty() && generated_.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (const auto& [token, bias] : options_.logit_bias) {
    if (token < vocabulary_) adjusted_[token] += bias;
  }
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    float& logit = adjusted_[i];
    if (!seen_[i]) continue;
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
  for (std::size_t i = 0; i < generated_.size(); ++i) {
    if (generated_[i] == 0) continue;
    adjusted_[i] -= options_.presence_penalty;
    adjusted_[i] -= options_.frequency_penalty * static_cast<float>(generated_[i]);
  }
  return adjusted_;
}

Token Sampler::draw(std::span<const float> logits) {
  gather(logits);
  if (options_.top_k > 0) keep_top_k();
  if (options_.top_p < 1) keep_top_p();
  if (options_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return c.weight < static_cast<double>(options_.min_p);
    });
  }
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double drawn = random_.unit() * total;
  double sum = 0;
  for (const Candidate& candidate : candidates_) {
    sum += candidate.weight;
    if (drawn < sum) return candidate.token;
  }
  return candidates_.back().token;
}

// The tokens that have a chance, ascending by id.
void Sampler::gather(std::span<const float> logits) {
  const double best = logits[largest(logits)];
  const double temperature = options_.temperature;
  const double least = best - kHopeless * temperature;
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double logit = logits[i];
    if (logit < least) continue;
    candidates_.push_back(
        {logits[i], static_cast<Token>(i), portable_exp((logit - best) / temperature)});
  }
}

void Sampler::keep_top_k() {
  if (options_.top_k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(),
                   is_before);
  candidates_.resize(options_.top_k);
  // nth_element leaves an order that is the library's own; sums need one that is ours.
  std::sort(candidates_.begin(), candidates_.end(), is_before);
}

// The fewest likeliest tokens that together have top_p, likeliest first.
void Sampler::keep_top_p() {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double wanted = static_cast<double>(options_.top_p) * total;
  double sum = 0;
  std::size_t kept = 0;
  std::size_t sorted = 0;
  do {
    if (kept == sorted) {
      const std::size_t next = std::min(candidates_.size(), std::max(kSortedFirst, 4 * sorted));
      const auto at = [&](std::size_t i) {
        return candidates_.begin() + static_cast<std::ptrdiff_t>(i);
      };
      if (next < candidates_.size()) {
        std::nth_element(at(sorted), at(next), candidates_.end(), is_before);
      }
      std::sort(at(sorted), at(next), is_before);
      sorted = next;
    }
    sum += candidates_[kept++].weight;
  } while (sum < wanted && kept < candidates_.size());
  candidates_.resize(kept);
}

StopFinder::StopFinder(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) continue;
    Stop stop;
    stop.borders.assign(text.size(), 0);
    for (std::size_t i = 1, border = 0; i < text.size(); ++i) {
      while (border > 0 && text[i] != text[border]) border = stop.borders[border - 1];
      if (text[i] == text[border]) ++border;
      stop.borders[i] = border;
    }
    stop.text = std::move(text);
    stops_.push_back(std::move(stop));
  }
}

void StopFinder::advance(Stop& stop, char next) {
  while (stop.matched > 0 && stop.text[stop.matched] != next) {
    stop.matched = stop.borders[stop.matched - 1];
  }
  if (stop.text[stop.matched] == next) ++stop.matched;
}

std::string StopFinder::push(std::string_view text) {
  if (stopped_) return {};
  for (const char next : text) {
    held_.push_back(next);
    std::size_t found = 0;  // bytes of the longest stop string that ends here
    for (Stop& stop : stops_) {
      advance(stop, next);
      if (stop.matched == stop.text.size()) found = std::max(found, stop.matched);
    }
    if (found == 0) continue;
    stopped_ = true;
    held_.resize(held_.size() - found);
    return std::exchange(held_, {});
  }
  std::size_t hopeful = 0;
  for (const Stop& stop : stops_) hopeful = std::max(hopeful, stop.matched);
  std::string certain = held_.substr(0, held_.size() - hopeful);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopFinder::finish() { return std::exchange(held_, {}); }

}  // namespace thaw::text
