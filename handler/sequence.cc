#include "handler/sequence.h"

#include <algorithm>
#include <utility>

#include "base/str.h"

namespace thaw::handler {
namespace {

// Left between the last token and the deadline, for what comes after it: encoding and sending.
constexpr std::chrono::milliseconds kDeadlineMargin{20};

bool all_finite(std::span<const float> logits) {
  // x - x is 0 for finite numbers and NaN for the others; the sum keeps a NaN.
  float sum = 0;
  for (const float x : logits) sum += x - x;
  return sum == 0;
}

}  // namespace

Sequence::Sequence(const SequenceParts& parts, const GenerationRequest& request,
                   const TextSink& sink, const std::function<bool()>& wanted)
    : parts_(parts),
      request_(request),
      wanted_(wanted),
      sink_([this, &sink](const TextPiece& piece) {
        const Result<Done> intact = parts_.engine.intact();
        if (!intact) error_ = intact.error();
        TextPiece told = piece;
        told.so_far = &out_;
        return intact && sink(told);
      }) {}

Result<std::unique_ptr<Sequence>> Sequence::start(
    const SequenceParts& parts, std::vector<text::Token> prompt, std::chrono::nanoseconds tokenise,
    const GenerationRequest& request, const TextSink& sink, const std::function<bool()>& wanted) {
  THAW_TRY_DO(text::validate(request.sampling));
  const std::uint32_t context = parts.engine.plan().config.context_tokens;
  if (prompt.size() >= context) {
    return thaw::fail(Code::kLimit,
                      cat("evaluate: a prompt of ", prompt.size(), " tokens, the context holds ",
                          context, " with the answer; shorten the prompt"));
  }
  auto sequence = std::unique_ptr<Sequence>(new Sequence(parts, request, sink, wanted));
  Sequence& self = *sequence;
  self.prompt_ = std::move(prompt);
  const auto room = static_cast<std::uint32_t>(context - self.prompt_.size());
  self.tokens_max_ = std::min(request.max_tokens.value_or(room), room);
  self.out_.phases.tokenise = tokenise;
  self.out_.usage.prompt_tokens = static_cast<std::uint32_t>(self.prompt_.size());
  self.session_ = parts.engine.new_session();
  const auto begin = parts.clock.now();
  self.begin_ = begin - tokenise;
  self.waited_before_ = parts.engine.waited();
  if (request.use_prefix) self.restore();
  self.phase_begin_ = parts.clock.now();
  self.out_.phases.prefix = self.phase_begin_ - begin;
  return sequence;
}

void Sequence::restore() {
  // The last token is computed in any case: its logits are wanted.
  const auto match = parts_.prefixes.longest(std::span(prompt_).first(prompt_.size() - 1));
  if (match.prefix == nullptr) return;
  session_->restore(match.prefix->kv, match.tokens);
  out_.usage.cached_tokens = match.tokens;
}

bool Sequence::too_late(std::chrono::nanoseconds step) const {
  return request_.deadline && parts_.clock.now() + step + kDeadlineMargin > *request_.deadline;
}

void Sequence::end(FinishReason reason) {
  ended_ = true;
  pending_ = {};
  out_.finish_reason = reason;
}

bool Sequence::may_go_on(std::chrono::nanoseconds step) {
  if (too_late(step) || (request_.hurry != nullptr && *request_.hurry)) {
    end(FinishReason::kDeadline);
  } else if (wanted_ && !wanted_()) {
    end(FinishReason::kCancelled);
  }
  return !ended_;
}

// Chunk by chunk, so that a deadline in the middle of a long prompt is kept.
std::span<const text::Token> Sequence::next(std::size_t tokens_max,
                                            std::chrono::nanoseconds token_time) {
  if (has_ended()) return {};
  if (!is_decoding()) {
    if (may_go_on(last_step_)) {
      const std::size_t count = std::min(tokens_max, prompt_.size() - position());
      pending_ = std::span(prompt_).subspan(position(), count);
    }
    return pending_;
  }
  if (!emitter_) {
    const auto now = parts_.clock.now();
    out_.phases.prefill = now - std::exchange(phase_begin_, now);
    out_.phases.read = parts_.engine.waited() - waited_before_;
    sampler_.emplace(request_.sampling, prompt_, logits_.size());
    emitter_.emplace(parts_.tokenizer, prompt_, request_, sink_);
  }
  if (may_go_on(token_time)) choose();
  return pending_;
}

void Sequence::choose() {
  const text::Token token = sampler_->sample(logits_);
  if (parts_.tokenizer.is_end(token)) return end(FinishReason::kStop);
  out_.tokens.push_back(token);
  if (out_.tokens.size() == 1) note_first_token();
  if (!emitter_->push(token, logits_)) return end(FinishReason::kCancelled);
  if (emitter_->stopped()) return end(FinishReason::kStop);
  if (out_.tokens.size() == tokens_max_) return end(FinishReason::kLength);
  pending_ = std::span(&out_.tokens.back(), 1);
}

void Sequence::note_first_token() {
  const auto now = parts_.clock.now();
  out_.phases.first_token = now - begin_;
  if (out_.start) out_.phases.since_start = now - out_.start->origin;
}

model::BatchItem Sequence::item() {
  const bool last = position() + pending_.size() >= prompt_.size();
  return {session_.get(), pending_, last ? model::LogitsWanted::kLast : model::LogitsWanted::kNone};
}

void Sequence::take(std::span<const float> logits) {
  if (all_finite(logits)) {
    logits_.assign(logits.begin(), logits.end());
  } else {
    error_ = thaw::fail(Code::kCorrupt,
                        "evaluate: a logit is not finite; the weights are damaged: check the "
                        "snapshot with 'thaw inspect --verify'");
  }
}

void Sequence::stepped(std::chrono::nanoseconds time) { last_step_ = time; }

Result<Generation> Sequence::finish() && {
  if (error_) return std::move(*error_);
  const auto spent = [&] { return parts_.clock.now() - phase_begin_; };
  if (!emitter_) {
    out_.phases.prefill = spent();
    out_.phases.read = parts_.engine.waited() - waited_before_;
    return std::move(out_);
  }
  if (out_.finish_reason != FinishReason::kCancelled && !emitter_->finish()) {
    out_.finish_reason = FinishReason::kCancelled;
  }
  if (const Result<Done> intact = parts_.engine.intact(); !intact) error_ = intact.error();
  if (error_) return std::move(*error_);
  out_.usage.completion_tokens = static_cast<std::uint32_t>(out_.tokens.size());
  out_.usage.reasoning_tokens = emitter_->reasoning_tokens();
  out_.phases.decode = spent();
  return std::move(out_);
}

}  // namespace thaw::handler
