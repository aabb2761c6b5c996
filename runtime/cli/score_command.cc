#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/function.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/npy.h"
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
};

void print(const Scored& scored, const handler::Function& function, bool as_json,
           const Context& context) {
  const std::string kernels(function.kernels().name);
  const double perplexity = std::exp(scored.mean_nll);
  if (as_json) {
    const json all = {{"tokens", scored.tokens},
                      {"from", scored.from},
                      {"cached_tokens", scored.restored},
                      {"mean_nll", scored.mean_nll},
                      {"perplexity", perplexity},
                      {"digest", scored.digest},
                      {"kernels", kernels}};
    std::fprintf(context.out, "%s\n", all.dump(2).c_str());
    return;
  }
  std::fprintf(context.out, "tokens      %zu\n", scored.tokens);
  if (scored.from > 0) std::fprintf(context.out, "from        %zu\n", scored.from);
  if (scored.restored > 0) std::fprintf(context.out, "restored    %u\n", scored.restored);
  std::fprintf(context.out, "mean nll    %s\nperplexity  %s\ndigest      %s\n",
               decimal(scored.mean_nll, 6).c_str(), decimal(perplexity, 4).c_str(),
               scored.digest.c_str());
  const std::size_t computed = scored.tokens - scored.restored;
  std::fprintf(context.err, "%s tokens/s with %s\n",
               decimal(static_cast<double>(computed) / scored.seconds, 1).c_str(), kernels.c_str());
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
  const std::uint32_t restored = session->position();
  const std::size_t from = std::max<std::size_t>(arguments.from, restored);
  std::unique_ptr<NpyWriter> logits;
  if (!arguments.logits.empty()) {
    THAW_TRY(writer, NpyWriter::create(context.files, arguments.logits, tokens.size() - from,
                                       function->engine().plan().config.vocabulary));
    logits = std::move(writer);
  }
  const auto begin = context.clock.now();
  Scorer scorer(tokens, from, logits.get());
  const std::span<const text::Token> all = tokens;
  for (const model::BatchItem& item :
       {model::BatchItem{session.get(), all.subspan(restored, from - restored),
                         model::LogitsWanted::kNone},
        model::BatchItem{session.get(), all.subspan(from), model::LogitsWanted::kAll}}) {
    THAW_TRY_DO(function->engine().forward(
        std::span(&item, 1), [&](std::size_t, std::size_t index, std::span<const float> row) {
          return scorer.add(from + index, row);
        }));
  }
  if (logits != nullptr) THAW_TRY_DO(logits->finish());
  const Scored scored{
      tokens.size(),   from,
      restored,        scorer.mean_nll(),
      scorer.digest(), std::chrono::duration<double>(context.clock.now() - begin).count()};
  print(scored, *function, arguments.json, context);
  return Done{};
}

}  // namespace thaw::cli
