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

inline constexpr float kTemperatureMax = 100;        // beyond it all tokens are about alike
inline constexpr float kRepetitionPenaltyMax = 100;  // and no less than its reciprocal
inline constexpr float kPenaltyMax = 2;              // presence and frequency, as OpenAI has it
inline constexpr float kLogitBiasMax = 100;          // the same
inline constexpr std::size_t kLogitBiasCountMax = 1024;

// Errors: kInvalid, naming the field, what was found and the range wanted.
Result<Done> validate(const SamplerOptions& options);

// One sequence's sampler. The order of its steps: logit_bias, repetition penalty, presence and
// frequency penalties, temperature, top_k, top_p, min_p, draw. One thread at a time.
class Sampler {
 public:
  // `prompt` counts for the repetition penalty. Precondition: vocabulary > 0, options are valid.
  Sampler(const SamplerOptions& options, std::span<const Token> prompt, std::size_t vocabulary);
  // Chooses from the first `vocabulary` of `logits`, all finite; remembers the choice.
  // Precondition: there are that many.
  Token sample(std::span<const float> logits);

 private:
  struct Candidate {
    float logit;
    Token token;
    double weight;  // proportional to its probability; the likeliest has 1
  };

  std::span<const float> adjust(std::span<const float> logits);
  Token draw(std::span<const float> logits);
  void gather(std::span<const float> logits);
  void keep_top_k();
  void keep_top_p();

  SamplerOptions options_;
  std::size_t vocabulary_;
  Random random_;
  std::vector<std::uint32_t> generated_;  // [vocabulary] how often each was; empty if unused
  std::vector<bool> seen_;                // [vocabulary] in prompt or output; empty if unused
  std::vector<float> adjusted_;           // [vocabulary] buffer; empty if unused
  std::vector<Candidate> candidates_;
};

// Finds stop strings in text that arrives in pieces, across token borders. Holds back no more than
// what may yet become a stop string. How the text is cut into pieces changes nothing: the stop
// string that ends first wins, the longest of those that end together. One thread at a time.
class StopFinder {
 public:
  // Empty stop strings are ignored.
  explicit StopFinder(std::vector<std::string> stops);
  // The text that is now certain to come before any stop string.
  std::string push(std::string_view text);
  bool stopped() const { return stopped_; }
  // The end of the sequence: what was held back.
  std::string finish();

 private:
  // Knuth, Morris, Pratt: how much of a stop string the text so far ends with.
  struct Stop {
    std::string text;
    std::vector<std::size_t> borders;  // [i]: the longest border of the first i + 1 bytes
    std::size_t matched = 0;
  };
  static void advance(Stop& stop, char next);

  std::vector<Stop> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace thaw::text
