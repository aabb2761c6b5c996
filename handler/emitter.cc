#include "handler/emitter.h"

#include <algorithm>
#include <utility>

#include "handler/text/logprobs.h"

namespace thaw::handler {
namespace {

// <think> is one token or, where a vocabulary lacks it, a few; line breaks may follow.
constexpr std::size_t kTokensLookedAt = 16;

}  // namespace

bool ends_in_thinking(const text::Tokenizer& tokenizer, std::span<const text::Token> prompt) {
  std::string end;
  for (const text::Token token : prompt.last(std::min(prompt.size(), kTokensLookedAt))) {
    end += tokenizer.bytes_of(token);
  }
  const std::size_t last = end.find_last_not_of(" \t\r\n");
  return last != std::string::npos &&
         std::string_view(end).substr(0, last + 1).ends_with(text::kThinkBegin);
}

Emitter::Emitter(const text::Tokenizer& tokenizer, std::span<const text::Token> prompt,
                 const GenerationRequest& request, const TextSink& sink)
    : tokenizer_(tokenizer),
      request_(request),
      sink_(sink),
      detokenizer_(tokenizer),
      stops_(request.stop) {
  if (!std::holds_alternative<std::string>(request.prompt)) {
    thinking_.emplace(ends_in_thinking(tokenizer, prompt));
  }
}

bool Emitter::push(text::Token token, std::span<const float> logits) {
  if (request_.logprobs) waiting_.push_back({detokenised_, score(token, logits)});
  const std::string text = detokenizer_.push(token);
  detokenised_ += text.size();
  const bool thought = thinking_ && thinking_->is_thinking();
  const bool wanted = send(stops_.push(text), false);
  if (thought || (thinking_ && thinking_->is_thinking())) ++reasoning_tokens_;
  return wanted;
}

bool Emitter::finish() {
  // Behind a stop string there is nothing left; the rest of a cut character is shown as such.
  const std::string rest =
      stops_.stopped() ? "" : stops_.push(detokenizer_.finish()) + stops_.finish();
  return send(rest, true);
}

ScoredToken Emitter::score(text::Token token, std::span<const float> logits) const {
  ScoredToken scored;
  for (const text::TokenLogprob& each :
       text::token_logprobs(logits, token, request_.top_logprobs)) {
    scored.top.push_back({tokenizer_.bytes_of(each.token), each.logprob});
  }
  scored.chosen = scored.top.front();
  scored.top.erase(scored.top.begin());
  return scored;
}

bool Emitter::send(std::string_view certain, bool last) {
  released_ += certain.size();
  const bool all = last && !stops_.stopped();
  while (!waiting_.empty() && (all || waiting_.front().begin < released_)) {
    scores_.push_back(std::move(waiting_.front().token));
    waiting_.pop_front();
  }
  if (!thinking_) {
    if (!certain.empty() && !send_part(certain, false)) return false;
  } else {
    std::vector<text::ThinkingSplitter::Part> parts = thinking_->push(certain);
    if (last) {
      for (auto& part : thinking_->finish()) parts.push_back(std::move(part));
    }
    for (const auto& part : parts) {
      if (!send_part(part.text, part.reasoning)) return false;
    }
  }
  return !last || scores_.empty() || send_part("", thinking_ && thinking_->is_thinking());
}

bool Emitter::send_part(std::string_view text, bool reasoning) {
  const std::vector<ScoredToken> scores = std::exchange(scores_, {});
  return sink_({text, reasoning, scores});
}

}  // namespace thaw::handler
