// The real Generator: renders, encodes, evaluates, samples, decodes.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "handler/generator.h"
#include "handler/manifest.h"
#include "handler/model/engine.h"
#include "handler/model/prefix.h"
#include "handler/text/chat_template.h"
#include "handler/text/tokenizer.h"

namespace thaw::handler {

// One thread at a time. Borrows everything for its life.
class ModelGenerator final : public Generator {
 public:
  // `chat` is null where the snapshot has no template: conversations are then refused.
  ModelGenerator(model::Engine& engine, const model::Prefixes& prefixes,
                 const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                 const Manifest& manifest, Clock& clock);

  Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) override;
  std::string_view model_name() const override { return manifest_.name; }
  std::uint32_t context_tokens() const override;

  // The tokens that `generate` evaluates for a request. Errors: kInvalid.
  Result<std::vector<text::Token>> prompt_tokens(const GenerationRequest& request) const;

 private:
  struct Run;
  // Whether a step that is expected to take `step` would end after the deadline.
  bool too_late(const GenerationRequest& request, std::chrono::nanoseconds step) const;
  void restore_prefix(const GenerationRequest& request, Run& run);
  Result<Done> prefill(const GenerationRequest& request, Run& run);
  Result<Done> decode(const GenerationRequest& request, const TextSink& sink, Run& run);

  model::Engine& engine_;
  const model::Prefixes& prefixes_;
  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_;
  const Manifest& manifest_;
  Clock& clock_;
  std::chrono::nanoseconds token_time_{0};  // the slowest recent decode step, for deadlines
};

}  // namespace thaw::handler
