#include "handler/model_generator.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/check.h"
#include "base/str.h"
#include "handler/emitter.h"

namespace thaw::handler {
namespace {

// Left between the last token and the deadline, for what comes after it: encoding and sending.
constexpr std::chrono::milliseconds kDeadlineMargin{20};

bool is_wanted(const GenerationRequest& request) { return !request.wanted || request.wanted(); }

bool all_finite(std::span<const float> logits) {
  // x - x is 0 for finite numbers and NaN for the others; the sum keeps a NaN.
  float sum = 0;
  for (const float x : logits) sum += x - x;
  return sum == 0;
}

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kDeadline: return "deadline";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "unknown";
}

// What one call of generate() carries from step to step.
struct ModelGenerator::Run {
  std::vector<text::Token> prompt;
  std::unique_ptr<model::Session> session;
  std::vector<float> logits;  // of the last evaluated position
  std::uint32_t tokens_max = 0;
  bool ended = false;  // finish_reason is set before the first token
  Generation out;

  // The sink that keeps the logits of the one position that wants them.
  model::LogitsSink keep() {
    return [this](std::size_t, std::size_t, std::span<const float> row) -> Result<Done> {
      if (!all_finite(row)) {
        return fail(Code::kCorrupt,
                    "evaluate: a logit is not finite; the weights are damaged: check the snapshot "
                    "with 'thaw inspect --verify'");
      }
      logits.assign(row.begin(), row.end());
      return Done{};
    };
  }
};

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

Result<Generation> ModelGenerator::generate(const GenerationRequest& request,
                                            const TextSink& sink) {
  THAW_TRY_DO(text::validate(request.sampling));
  Run run;
  const auto begin = clock_.now();
  THAW_TRY(prompt, prompt_tokens(request));
  run.prompt = std::move(prompt);
  run.out.tokenise = clock_.now() - begin;
  const std::uint32_t context = context_tokens();
  if (run.prompt.empty()) return fail(Code::kInvalid, "evaluate: the prompt is empty");
  if (run.prompt.size() >= context) {
    return fail(Code::kLimit,
                cat("evaluate: a prompt of ", run.prompt.size(), " tokens, the context holds ",
                    context, " with the answer; shorten the prompt"));
  }
  const auto room = static_cast<std::uint32_t>(context - run.prompt.size());
  run.tokens_max = std::min(request.max_tokens.value_or(room), room);
  run.out.usage.prompt_tokens = static_cast<std::uint32_t>(run.prompt.size());
  run.session = engine_.new_session();
  restore_prefix(request, run);
  THAW_TRY_DO(prefill(request, run));
  if (!run.ended) THAW_TRY_DO(decode(request, sink, run));
  run.out.usage.completion_tokens = static_cast<std::uint32_t>(run.out.tokens.size());
  return std::move(run.out);
}

bool ModelGenerator::too_late(const GenerationRequest& request,
                              std::chrono::nanoseconds step) const {
  return request.deadline && clock_.now() + step + kDeadlineMargin > *request.deadline;
}

// What the prompt has in common with a stored prefix need not be computed; except for the last
// token, whose logits are wanted.
void ModelGenerator::restore_prefix(const GenerationRequest& request, Run& run) {
  if (!request.use_prefix) return;
  const auto begin = clock_.now();
  const auto match = prefixes_.longest(std::span(run.prompt).first(run.prompt.size() - 1));
  if (match.prefix != nullptr) run.session->restore(match.prefix->kv, match.tokens);
  run.out.usage.cached_tokens = match.tokens;
  run.out.prefix = clock_.now() - begin;
}

// Chunk by chunk, so that a deadline in the middle of a long prompt is kept.
Result<Done> ModelGenerator::prefill(const GenerationRequest& request, Run& run) {
  const auto begin = clock_.now();
  std::chrono::nanoseconds chunk_time{0};
  const std::size_t chunk = engine_.chunk_tokens();
  for (std::size_t at = run.session->position(); at < run.prompt.size(); at += chunk) {
    if (too_late(request, chunk_time)) {
      run.ended = true;
      run.out.finish_reason = FinishReason::kDeadline;
      break;
    }
    if (!is_wanted(request)) {
      run.ended = true;
      run.out.finish_reason = FinishReason::kCancelled;
      break;
    }
    const auto before = clock_.now();
    const std::size_t count = std::min(chunk, run.prompt.size() - at);
    const bool last = at + count == run.prompt.size();
    const model::BatchItem item{run.session.get(), std::span(run.prompt).subspan(at, count),
                                last ? model::LogitsWanted::kLast : model::LogitsWanted::kNone};
    THAW_TRY_DO(engine_.forward(std::span(&item, 1), run.keep()));
    chunk_time = clock_.now() - before;
  }
  run.out.prefill = clock_.now() - begin;
  return Done{};
}

Result<Done> ModelGenerator::decode(const GenerationRequest& request, const TextSink& sink,
                                    Run& run) {
  const auto begin = clock_.now();
  text::Sampler sampler(request.sampling, run.prompt, run.logits.size());
  Emitter emitter(tokenizer_, run.prompt, request, sink);
  Generation& out = run.out;
  out.finish_reason = FinishReason::kLength;
  while (out.tokens.size() < run.tokens_max) {
    if (too_late(request, token_time_)) {
      out.finish_reason = FinishReason::kDeadline;
      break;
    }
    if (!is_wanted(request)) {
      out.finish_reason = FinishReason::kCancelled;
      break;
    }
    const auto before = clock_.now();
    const text::Token token = sampler.sample(run.logits);
    if (tokenizer_.is_end(token)) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
    out.tokens.push_back(token);
    if (!emitter.push(token, run.logits)) {
      out.finish_reason = FinishReason::kCancelled;
      break;
    }
    if (emitter.stopped()) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
    if (out.tokens.size() == run.tokens_max) break;
    const model::BatchItem item{run.session.get(), std::span(&out.tokens.back(), 1),
                                model::LogitsWanted::kLast};
    THAW_TRY_DO(engine_.forward(std::span(&item, 1), run.keep()));
    // Follows slow steps at once and forgets them slowly.
    token_time_ = std::max(clock_.now() - before, token_time_ * 15 / 16);
  }
  if (out.finish_reason != FinishReason::kCancelled && !emitter.finish()) {
    out.finish_reason = FinishReason::kCancelled;
  }
  out.usage.reasoning_tokens = emitter.reasoning_tokens();
  out.decode = clock_.now() - begin;
  return Done{};
}

}  // namespace thaw::handler
