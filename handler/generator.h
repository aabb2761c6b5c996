// What an invocation asks of a model, and what it gets: the seam between the shapes of requests and
// the model behind them, so that each can be tested without the other.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "handler/prompt.h"
#include "handler/text/sampler.h"
#include "handler/timings.h"

namespace thaw::handler {

struct GenerationRequest {
  Prompt prompt;
  std::optional<std::uint32_t> max_tokens;  // absent: until the context is full
  text::SamplerOptions sampling;
  std::vector<std::string> stop;
  std::optional<bool> enable_thinking;
  std::optional<Clock::Monotonic> deadline;  // generation ends before it
  const std::atomic<bool>* hurry = nullptr;  // once true, ends it as its deadline does; may be null
  bool logprobs = false;                     // a score with each token
  std::uint32_t top_logprobs = 0;            // and those of as many of the likeliest tokens
  bool use_prefix = true;                    // false: computes what a stored prefix would give
  // Asked between steps, so that a caller who went away ends a long prefill, too; false: cancel.
  // May be empty.
  std::function<bool()> wanted;
};

enum class FinishReason : unsigned char { kStop, kLength, kDeadline, kCancelled };
std::string_view name_of(FinishReason reason);  // "stop", "length", "deadline", "cancelled"

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;     // of the prompt, restored from a prefix
  std::uint32_t reasoning_tokens = 0;  // of the completion, thinking
};

struct Generation {
  FinishReason finish_reason = FinishReason::kStop;
  Usage usage;
  std::vector<text::Token> tokens;  // generated ids, without the end token
  GenerationPhases phases;
  std::optional<StartTimes> start;  // of the instance; told once
  std::string timing() const { return server_timing(phases, start ? &*start : nullptr); }
};

// How likely the model found a token: the logarithm of its share, before biases, penalties and the
// temperature.
struct TokenScore {
  std::string_view bytes;  // what the token stands for; lives as long as the generator
  double logprob = 0;
};

struct ScoredToken {
  TokenScore chosen;
  std::vector<TokenScore> top;  // the likeliest, those first
};

// A run of finished text. Views are valid during the call.
struct TextPiece {
  std::string_view text;
  bool reasoning = false;  // what a thinking model says to itself, apart from its answer
  std::span<const ScoredToken> tokens = {};  // whose text begins in this piece, where wanted
  const Generation* so_far = nullptr;        // phases up to here; null: not known

  operator std::string_view() const { return text; }
};

// Called with each piece, in order; returns false to cancel.
using TextSink = std::function<bool(const TextPiece& piece)>;

// Thread-safe or not as the implementation says.
class Generator {
 public:
  virtual ~Generator() = default;
  // Errors: kInvalid  the request (a template that refuses it, an option out of range)
  //         kLimit    the prompt does not fit the context; names both lengths
  //         kCorrupt  a logit that is not finite
  virtual Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) = 0;
  // Several together, each exactly as if it were alone; one result for each, in order.
  struct Job {
    const GenerationRequest* request = nullptr;
    TextSink sink;
  };
  virtual std::vector<Result<Generation>> generate_all(std::span<const Job> jobs) {
    std::vector<Result<Generation>> results;
    for (const Job& job : jobs) results.push_back(generate(*job.request, job.sink));
    return results;
  }
  virtual std::string_view model_name() const = 0;
  virtual std::uint32_t context_tokens() const = 0;
};

}  // namespace thaw::handler
