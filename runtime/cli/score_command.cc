#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/function.h"
#include "handler/reference/comparison.h"
#include "handler/reference/reference.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"

namespace thaw::cli {
namespace {

using nlohmann::json;

// -log of the softmax probability of `target`, in float64.
double negative_log_likelihood(std::span<const float> logits, std::uint32_t target) {
  double top = logits[0];
  for (const float x : logits) top = std::max(top, static_cast<double>(x));
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - top);
  return std::log(sum) + top - logits[target];
}

Result<std::vector<text::Token>> tokens_for(const ScoreArguments& arguments,
                                            const handler::Function& function,
                                            const Context& context) {
  if (arguments.text.empty() == arguments.tokens.empty()) {
    return fail(Code::kInvalid, "score: wanted one of --text FILE and --tokens IDS.json");
  }
  if (!arguments.text.empty()) {
    THAW_TRY(text, read_input(context, arguments.text));
    const text::Piece piece{std::move(text), false};
    return function.tokenizer().encode_prompt(std::span(&piece, 1));
  }
  THAW_TRY(text, read_input(context, arguments.tokens));
  const json ids = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto bad = [&] {
    return fail(Code::kInvalid, cat("score '", arguments.tokens,
                                    "': wanted a JSON array of token ids, like [1, 2, 3]"));
  };
  if (!ids.is_array()) return bad();
  std::vector<text::Token> tokens;
  for (const json& id : ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX) return bad();
    tokens.push_back(id.get<text::Token>());
  }
  return tokens;
}

// The float32 evaluation beside ours. One that was not asked for does nothing.
class Beside {
 public:
  // Errors: kInvalid: nothing that a next token tells of; those of Reference::evaluate().
  static Result<Beside> evaluate(const ScoreArguments& arguments, handler::Function& function,
                                 std::span<const text::Token> tokens, std::size_t from,
                                 Progress& progress) {
    Beside beside(tokens, progress);
    if (!arguments.reference) return beside;
    if (tokens.size() - from < 2) {
      return fail(Code::kInvalid, cat("score --reference: ", tokens.size() - from,
                                      " position to score, wanted at least 2; give a longer text"));
    }
    reference::ReferenceOptions options;
    options.threads = function.pool().threads();
    options.supply = &function.supply();
    options.progress = [&](std::size_t done, std::size_t total) {
      progress.show("reference", done, total, cat(done, " of ", total, " layers"));
    };
    THAW_TRY(made, reference::Reference::evaluate(function.engine().plan(), tokens, options));
    beside.reference_ = std::move(made);
    return beside;
  }

  Result<Done> add(std::size_t index, std::span<const float> ours) {
    if (reference_ == nullptr) return Done{};
    THAW_TRY(theirs, reference_->logits(index));
    const std::size_t done = index + 1;
    const bool is_last = done == tokens_.size();
    THAW_TRY_DO(
        comparison_.add(theirs, ours, is_last ? std::nullopt : std::optional(tokens_[done])));
    if (done % kShownEvery == 0) {
      progress_.show("comparing", done, tokens_.size(),
                     cat(done, " of ", tokens_.size(), " tokens"));
    }
    return Done{};
  }

  std::optional<reference::Difference> difference() const {
    if (reference_ == nullptr) return std::nullopt;
    return comparison_.difference();
  }

 private:
  static constexpr std::size_t kShownEvery = 16;  // tokens

  Beside(std::span<const text::Token> tokens, Progress& progress)
      : tokens_(tokens), progress_(progress) {}

  std::span<const text::Token> tokens_;
  Progress& progress_;
  std::unique_ptr<reference::Reference> reference_;
  reference::Comparison comparison_;
};

// Sums what score() prints, position by position, from position `from` on.
class Scorer {
 public:
  Scorer(std::span<const text::Token> tokens, std::size_t from, NpyWriter* logits)
      : tokens_(tokens), from_(from), logits_(logits), digest_(XXH3_createState()) {
    XXH3_128bits_reset(digest_);
  }
  ~Scorer() { XXH3_freeState(digest_); }

  Result<Done> add(std::size_t index, std::span<const float> logits) {
    for (const float x : logits) {
      if (!std::isfinite(x)) {
        return fail(Code::kCorrupt, cat("score: position ", index,
                                        ": a logit is not finite; the weights are damaged"));
      }
    }
    XXH3_128bits_update(digest_, logits.data(), logits.size_bytes());
    if (index + 1 < tokens_.size()) {
      nll_ += negative_log_likelihood(logits, tokens_[index + 1]);
    }
    if (logits_ != nullptr) return logits_->append(logits);
    return Done{};
  }

  double mean_nll() const {
    const std::size_t predicted = tokens_.size() - from_ - 1;  // the last predicts none of ours
    return predicted == 0 ? 0 : nll_ / static_cast<double>(predicted);
  }

  std::string digest() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(digest_));
    std::string hex;
    for (const unsigned char byte : canonical.digest) {
      constexpr std::string_view kHex = "0123456789abcdef";
      hex.push_back(kHex[byte >> 4]);
      hex.push_back(kHex[byte & 15]);
    }
    return hex;
  }

 private:
  std::span<const text::Token> tokens_;
  std::size_t from_;
  NpyWriter* logits_;
  XXH3_state_t* digest_;
  double nll_ = 0;
};

struct Scored {
  std::size_t tokens, from;
  std::uint32_t restored;  // tokens of a prefix
  double mean_nll;
  std::string digest;
  double seconds;
  std::optional<reference::Difference> difference;
};

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3e", value);
  return text;
}

json as_json(const reference::Difference& difference) {
  const auto& margin = difference.margin_max;
  return {{"positions", difference.positions},
          {"mean_nll", difference.mean_nll},
          {"perplexity", std::exp(difference.mean_nll)},
          {"mean_kl", difference.mean_kl},
          {"p99_kl", difference.p99_kl},
          {"top1_agreement", difference.top1_agreement},
          {"margin_max", margin ? json(*margin) : json()}};
}

void print(const reference::Difference& difference, std::FILE* out) {
  std::fprintf(out, "\nbeside a float32 evaluation of the same weights\n");
  std::fprintf(out, "perplexity  %s\nmean KL     %s\n99 %% KL     %s\ntop-1       %s\n",
               decimal(std::exp(difference.mean_nll), 4).c_str(),
               scientific(difference.mean_kl).c_str(), scientific(difference.p99_kl).c_str(),
               decimal(difference.top1_agreement, 4).c_str());
  if (difference.margin_max) {
    std::fprintf(out, "margin      %s at most, where another token is the likeliest\n",
                 decimal(*difference.margin_max, 4).c_str());
  }
}

void print(const Scored& scored, const handler::Function& function, bool wants_json,
           const Context& context) {
  const std::string kernels(function.kernels().name);
  const double perplexity = std::exp(scored.mean_nll);
  if (wants_json) {
    json all = {{"tokens", scored.tokens},
                {"from", scored.from},
                {"cached_tokens", scored.restored},
                {"mean_nll", scored.mean_nll},
                {"perplexity", perplexity},
                {"digest", scored.digest},
                {"kernels", kernels}};
    if (scored.difference) all["reference"] = as_json(*scored.difference);
    std::fprintf(context.out, "%s\n", all.dump(2).c_str());
    return;
  }
  std::fprintf(context.out, "tokens      %zu\n", scored.tokens);
  if (scored.from > 0) std::fprintf(context.out, "from        %zu\n", scored.from);
  if (scored.restored > 0) std::fprintf(context.out, "restored    %u\n", scored.restored);
  std::fprintf(context.out, "mean nll    %s\nperplexity  %s\ndigest      %s\n",
               decimal(scored.mean_nll, 6).c_str(), decimal(perplexity, 4).c_str(),
               scored.digest.c_str());
  if (scored.difference) {
    print(*scored.difference, context.out);
    return;  // the time that it took says nothing of ours
  }
  const std::size_t computed = scored.tokens - scored.restored;
  std::fprintf(context.err, "%s tokens/s with %s\n",
               decimal(static_cast<double>(computed) / scored.seconds, 1).c_str(), kernels.c_str());
}

// Evaluates what the session lacks, and scores positions from `from` on.
Result<Scored> evaluate(const ScoreArguments& arguments, handler::Function& function,
                        model::Session& session, std::span<const text::Token> tokens,
                        std::size_t from, const Context& context) {
  std::unique_ptr<NpyWriter> logits;
  if (!arguments.logits.empty()) {
    THAW_TRY(writer, NpyWriter::create(context.files, arguments.logits, tokens.size() - from,
                                       function.engine().plan().config.vocabulary));
    logits = std::move(writer);
  }
  Progress progress(context);
  THAW_TRY(beside, Beside::evaluate(arguments, function, tokens, from, progress));
  const auto begin = context.clock.now();
  const std::uint32_t restored = session.position();
  Scorer scorer(tokens, from, logits.get());
  const auto sink = [&](std::size_t, std::size_t index, std::span<const float> row) {
    Result<Done> added = scorer.add(from + index, row);
    return added ? beside.add(from + index, row) : added;
  };
  for (const model::BatchItem& item :
       {model::BatchItem{&session, tokens.subspan(restored, from - restored),
                         model::LogitsWanted::kNone},
        model::BatchItem{&session, tokens.subspan(from), model::LogitsWanted::kAll}}) {
    THAW_TRY_DO(function.engine().forward(std::span(&item, 1), sink));
  }
  if (logits != nullptr) THAW_TRY_DO(logits->finish());
  const double seconds = std::chrono::duration<double>(context.clock.now() - begin).count();
  return Scored{tokens.size(), from, restored, scorer.mean_nll(), scorer.digest(), seconds,
                beside.difference()};
}

}  // namespace

Result<Done> tokenize(const TokenizeArguments& arguments, const Context& context) {
  THAW_TRY(text, read_input(context, arguments.text));
  THAW_TRY(reader, snapshot::Reader::open(context.files, arguments.path));
  THAW_TRY(tables, reader->section(snapshot::SectionType::kTokenizer));
  THAW_TRY(tokenizer, text::Tokenizer::open(tables));
  std::vector<text::Token> tokens;
  tokenizer.encode(text, arguments.special, tokens);
  std::fprintf(context.out, "%s\n", json(tokens).dump().c_str());
  return Done{};
}

Result<Done> score(const ScoreArguments& arguments, const Context& context) {
  handler::FunctionOptions options = function_options(context, arguments.threads);
  options.engine.chunk_tokens = arguments.chunk;
  THAW_TRY(function, handler::Function::open(context.files, arguments.path, options));
  warn_of_prefixes(*function, context);
  THAW_TRY(tokens, tokens_for(arguments, *function, context));
  if (tokens.empty()) return fail(Code::kInvalid, "score: no tokens; give a text that has some");
  if (arguments.from >= tokens.size()) {
    return fail(Code::kInvalid, cat("score: --from ", arguments.from, ", the text has ",
                                    tokens.size(), " tokens; score at least the last"));
  }
  const auto session = function->engine().new_session();
  if (arguments.prefix) {
    // At least one position is scored, and none that --from wants is skipped.
    const std::size_t most = arguments.from == 0 ? tokens.size() - 1 : arguments.from;
    const auto match = function->prefixes().longest(std::span(tokens).first(most));
    if (match.prefix != nullptr) session->restore(match.prefix->kv, match.tokens);
  }
  const std::size_t from = std::max<std::size_t>(arguments.from, session->position());
  THAW_TRY(scored, evaluate(arguments, *function, *session, tokens, from, context));
  print(scored, *function, arguments.json, context);
  return Done{};
}

}  // namespace thaw::cli
