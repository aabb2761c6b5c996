#include "handler/model_generator.h"

#include <algorithm>
#include <utility>

#include "handler/prompt.h"

namespace thaw::handler {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kDeadline: return "deadline";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "unknown";
}

ModelGenerator::ModelGenerator(model::Engine& engine, const model::Prefixes& prefixes,
                               const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                               const Manifest& manifest, Clock& clock)
    : engine_(engine),
      prefixes_(prefixes),
      tokenizer_(tokenizer),
      chat_(chat),
      manifest_(manifest),
      clock_(clock) {}

std::uint32_t ModelGenerator::context_tokens() const {
  return engine_.plan().config.context_tokens;
}

Result<std::vector<text::Token>> ModelGenerator::prompt_tokens(
    const GenerationRequest& request) const {
  PromptOptions options;
  options.enable_thinking = request.enable_thinking;
  options.unix_seconds =
      std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch())
          .count();
  return encode_prompt(tokenizer_, chat_, request.prompt, options);
}

Result<ModelGenerator::Prepared> ModelGenerator::prepare(const GenerationRequest& request) const {
  const auto begin = clock_.now();
  THAW_TRY(prompt, prompt_tokens(request));
  if (prompt.empty()) return fail(Code::kInvalid, "evaluate: the prompt is empty");
  return Prepared{std::move(prompt), clock_.now() - begin};
}

Result<std::unique_ptr<Sequence>> ModelGenerator::begin(Prepared prepared,
                                                        const GenerationRequest& request,
                                                        const TextSink& sink,
                                                        const std::function<bool()>& wanted) {
  THAW_TRY(sequence,
           Sequence::start({engine_, prefixes_, tokenizer_, clock_}, std::move(prepared.prompt),
                           prepared.time, request, sink, wanted));
  if (start_) sequence->tell_start(*std::exchange(start_, std::nullopt));
  return std::move(sequence);
}

Result<Generation> ModelGenerator::generate(const GenerationRequest& request,
                                            const TextSink& sink) {
  const Job job{&request, sink};
  return std::move(generate_all(std::span(&job, 1)).front());
}

std::vector<Result<Generation>> ModelGenerator::generate_all(std::span<const Job> jobs) {
  std::vector<Result<Generation>> results;
  std::vector<std::unique_ptr<Sequence>> begun(jobs.size());
  std::vector<Sequence*> sequences;
  const auto begin_one = [&](const Job& job) -> Result<std::unique_ptr<Sequence>> {
    THAW_TRY(prepared, prepare(*job.request));
    return begin(std::move(prepared), *job.request, job.sink, job.request->wanted);
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    Result<std::unique_ptr<Sequence>> one = begin_one(jobs[i]);
    results.push_back(one ? Result<Generation>(Generation()) : std::move(one.error()));
    if (!one) continue;
    begun[i] = std::move(*one);
    sequences.push_back(begun[i].get());
  }
  while (step(sequences)) continue;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (begun[i] != nullptr) results[i] = std::move(*begun[i]).finish();
  }
  return results;
}

bool ModelGenerator::step(std::span<Sequence* const> sequences) {
  std::vector<model::BatchItem> items;
  std::vector<Sequence*> who;
  // A step holds a chunk's tokens at most, so that a long prompt delays its neighbours little. Each
  // sequence has a token at least.
  std::size_t room = engine_.chunk_tokens();
  bool all_decode = true;
  for (Sequence* sequence : sequences) {
    const auto tokens = sequence->next(std::max<std::size_t>(room, 1), token_time_);
    if (tokens.empty()) continue;
    room -= std::min(room, tokens.size());
    all_decode = all_decode && sequence->is_decoding();
    items.push_back(sequence->item());
    who.push_back(sequence);
  }
  if (items.empty()) return false;
  const auto before = clock_.now();
  const auto evaluate = [&](std::size_t first, std::size_t count) {
    return engine_.forward(std::span(items).subspan(first, count),
                           [&](std::size_t item, std::size_t, std::span<const float> row) {
                             who[first + item]->take(row);
                             return Result<Done>(Done{});
                           });
  };
  if (const Result<Done> done = evaluate(0, items.size()); !done) {
    // One that passes a limit must not take the others with it.
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (const Result<Done> alone = items.size() > 1 ? evaluate(i, 1) : done; !alone) {
        who[i]->fail(alone.error());
      }
    }
  }
  const std::chrono::nanoseconds time = clock_.now() - before;
  for (Sequence* sequence : who) sequence->stepped(time);
  // Follows slow steps at once and forgets them slowly.
  if (all_decode) token_time_ = std::max(time, token_time_ * 15 / 16);
  return true;
}

}  // namespace thaw::handler
