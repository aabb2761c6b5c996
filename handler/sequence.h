// One generation in progress, step by step: what to evaluate next, and what became of it. Whoever
// has several of them evaluates their steps together.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "handler/emitter.h"
#include "handler/generator.h"
#include "handler/model/engine.h"
#include "handler/model/prefix.h"
#include "handler/text/sampler.h"
#include "handler/text/tokenizer.h"

namespace thaw::handler {

// What sequences share, borrowed.
struct SequenceParts {
  model::Engine& engine;
  const model::Prefixes& prefixes;
  const text::Tokenizer& tokenizer;
  Clock& clock;
};

// One thread at a time. Parts, request, sink and wanted outlive it.
class Sequence {
 public:
  // `prompt`, not empty, takes `tokenise` to have been made. `wanted` (may be empty) is asked in
  // the place of request.wanted. Restores what a stored prefix has of the prompt. Errors: kInvalid
  // (a sampling option), kLimit (the prompt does not fit the context).
  static Result<std::unique_ptr<Sequence>> start(const SequenceParts& parts,
                                                 std::vector<text::Token> prompt,
                                                 std::chrono::nanoseconds tokenise,
                                                 const GenerationRequest& request,
                                                 const TextSink& sink,
                                                 const std::function<bool()>& wanted);

  // What is told of the start with this generation.
  void tell_start(const StartTimes& start) { out_.start = start; }

  // The next tokens to evaluate, at most `tokens_max` and at least one; none once it has ended.
  // Chooses and emits the token that the logits taken last lead to. `token_time`: what a step of
  // decoding is expected to take; one that would end behind the deadline is not begun.
  std::span<const text::Token> next(std::size_t tokens_max, std::chrono::nanoseconds token_time);
  model::BatchItem item();  // of what next() gave
  bool is_decoding() const { return position() >= prompt_.size(); }

  // The logits of the step's last token. A bad one ends the sequence with an error.
  void take(std::span<const float> logits);
  // The step is done and took `time`, or failed.
  void stepped(std::chrono::nanoseconds time);
  void fail(Error error) { error_ = std::move(error); }

  // next() gives nothing any more.
  bool has_ended() const { return ended_ || error_.has_value(); }
  // Precondition: has_ended().
  Result<Generation> finish() &&;

 private:
  Sequence(const SequenceParts& parts, const GenerationRequest& request, const TextSink& sink,
           const std::function<bool()>& wanted);

  std::size_t position() const { return session_->position(); }
  bool too_late(std::chrono::nanoseconds step) const;
  void end(FinishReason reason);
  bool may_go_on(std::chrono::nanoseconds step);
  void choose();
  void note_first_token();
  void restore();

  const SequenceParts parts_;
  const GenerationRequest& request_;
  const std::function<bool()>& wanted_;
  // Text comes from the snapshot, too: none is told that came from a broken one.
  const TextSink sink_;
  std::vector<text::Token> prompt_;
  std::unique_ptr<model::Session> session_;
  std::optional<text::Sampler> sampler_;
  std::optional<Emitter> emitter_;
  std::vector<float> logits_;  // of the last evaluated position
  std::span<const text::Token> pending_;
  std::uint32_t tokens_max_ = 0;
  std::chrono::nanoseconds last_step_{0};
  Clock::Monotonic begin_{};
  Clock::Monotonic phase_begin_{};
  std::chrono::nanoseconds waited_before_{};  // by the engine, for weights
  bool ended_ = false;
  std::optional<Error> error_;
  Generation out_;
};

}  // namespace thaw::handler
