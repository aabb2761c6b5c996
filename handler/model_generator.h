// The real Generator: renders, encodes, evaluates, samples, decodes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "handler/generator.h"
#include "handler/manifest.h"
#include "handler/model/engine.h"
#include "handler/model/prefix.h"
#include "handler/sequence.h"
#include "handler/text/chat_template.h"
#include "handler/text/tokenizer.h"

namespace thaw::handler {

// One thread at a time, but for what is const. Borrows everything for its life.
class ModelGenerator final : public Generator {
 public:
  // `chat` is null where the snapshot has no template: conversations are then refused.
  ModelGenerator(model::Engine& engine, const model::Prefixes& prefixes,
                 const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                 const Manifest& manifest, Clock& clock);

  Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) override;
  // Steps of all are evaluated in one batch: the weights are read once for all of them.
  std::vector<Result<Generation>> generate_all(std::span<const Job> jobs) override;
  std::string_view model_name() const override { return manifest_.name; }
  std::uint32_t context_tokens() const override;

  // What the next generation that begins tells of the start.
  void tell_start(const StartTimes& start) { start_ = start; }

  // The tokens that `generate` evaluates for a request. Errors: kInvalid.
  Result<std::vector<text::Token>> prompt_tokens(const GenerationRequest& request) const;

  // For who steps sequences itself. A request's prompt, made ready; thread-safe, as it may take
  // long. Errors: kInvalid, kLimit (from rendering).
  struct Prepared {
    std::vector<text::Token> prompt;
    std::chrono::nanoseconds time{};  // it took
  };
  Result<Prepared> prepare(const GenerationRequest& request) const;
  // Request, sink and wanted outlive the sequence. Errors: as Sequence::start().
  Result<std::unique_ptr<Sequence>> begin(Prepared prepared, const GenerationRequest& request,
                                          const TextSink& sink,
                                          const std::function<bool()>& wanted);
  // One step of each that has not ended. False: all have.
  bool step(std::span<Sequence* const> sequences);

 private:
  model::Engine& engine_;
  const model::Prefixes& prefixes_;
  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_;
  const Manifest& manifest_;
  Clock& clock_;
  std::optional<StartTimes> start_;
  std::chrono::nanoseconds token_time_{0};  // the slowest recent decode step, for deadlines
};

}  // namespace thaw::handler
