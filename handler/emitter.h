// Tokens in, what a TextSink gets out: whole characters, nothing of a stop string, what was thought
// apart from what is answered, and each token's score beside the text that it gave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "handler/generator.h"
#include "handler/text/sampler.h"
#include "handler/text/thinking.h"
#include "handler/text/tokenizer.h"

namespace thaw::handler {

// Whether a prompt ends in an opened <think>, white space behind it or not.
bool ends_in_thinking(const text::Tokenizer& tokenizer, std::span<const text::Token> prompt);

// For one generation; what it is given outlives it. One thread at a time.
class Emitter {
 public:
  // Conversations are parted into thought and answer, raw prompts never are.
  Emitter(const text::Tokenizer& tokenizer, std::span<const text::Token> prompt,
          const GenerationRequest& request, const TextSink& sink);

  // `logits` are those that `token` was chosen from. False: the sink wants no more.
  bool push(text::Token token, std::span<const float> logits);
  // The end, unless the sink said no before. False: as in push().
  bool finish();

  bool stopped() const { return stops_.stopped(); }  // a stop string came
  std::uint32_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  struct Waiting {
    std::size_t begin = 0;  // of the token's text, in bytes since the start
    ScoredToken token;
  };

  bool send(std::string_view certain, bool last);
  bool send_part(std::string_view text, bool reasoning);
  ScoredToken score(text::Token token, std::span<const float> logits) const;

  const text::Tokenizer& tokenizer_;
  const GenerationRequest& request_;
  const TextSink& sink_;
  text::Detokenizer detokenizer_;
  text::StopFinder stops_;
  std::optional<text::ThinkingSplitter> thinking_;
  std::deque<Waiting> waiting_;      // tokens whose text is held back
  std::vector<ScoredToken> scores_;  // of the next piece
  std::size_t detokenised_ = 0;      // bytes
  std::size_t released_ = 0;         // bytes, past the search for stop strings
  std::uint32_t reasoning_tokens_ = 0;
};

}  // namespace thaw::handler
