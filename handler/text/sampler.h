// Chooses the next token. The same options, seed and logits choose the same token on every machine.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "handler/text/tokenizer.h"

namespace thaw::text {

struct SamplerOptions {
  float temperature = 0;         // 0: greedy, the lowest id of the largest logit
  std::uint32_t top_k = 0;       // 0: off
  float top_p = 1;               // 1: off
  float min_p = 0;               // 0: off
  float repetition_penalty = 1;  // 1: off; over prompt and generated tokens
  float presence_penalty = 0;    // over generated tokens, as OpenAI defines it
  float frequency_penalty = 0;
  std::map<Token, float> logit_bias;
  std::uint64_t seed = 0;
};

// Errors: kInvalid, naming the field, what was found and the range wanted.
Result<Done> validate(const SamplerOptions& options);

// One sequence's sampler. One thread at a time.
class Sampler {
 public:
  // `prompt` counts for the repetition penalty.
  Sampler(const SamplerOptions& options, std::span<const Token> prompt, std::size_t vocabulary);
  // Chooses from logits [vocabulary], all finite; remembers the choice.
  Token sample(std::span<const float> logits);

 private:
  SamplerOptions options_;
  Random random_;
  std::vector<std::uint32_t> generated_;  // [vocabulary] how often each was generated; empty if unused
  std::vector<bool> seen_;                // [vocabulary] for the repetition penalty; empty if unused
  std::vector<std::pair<float, Token>> candidates_;
};

// Finds stop strings in text that arrives in pieces, across token borders. Holds back what may yet
// become a stop string. One thread at a time.
class StopFinder {
 public:
  explicit StopFinder(std::vector<std::string> stops);
  // The text that is now certain to come before any stop string.
  std::string push(std::string_view text);
  bool stopped() const { return stopped_; }
  // The end of the sequence: what was held back.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace thaw::text
