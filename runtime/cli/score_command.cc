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

// Sums what score() prints, position by position.
class Scorer {
 public:
  Scorer(std::span<const text::Token> tokens, NpyWriter* logits)
      : tokens_(tokens), logits_(logits), digest_(XXH3_createState()) {
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
    return tokens_.size() < 2 ? 0 : nll_ / static_cast<double>(tokens_.size() - 1);
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
  NpyWriter* logits_;
  XXH3_state_t* digest_;
  double nll_ = 0;
};

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
  handler::FunctionOptions options;
  options.kernels = context.kernels;
  options.threads = arguments.threads == 0 ? context.threads : arguments.threads;
  options.engine.chunk_tokens = arguments.chunk;
  THAW_TRY(function, handler::Function::open(context.files, arguments.path, options));
  THAW_TRY(tokens, tokens_for(arguments, *function, context));
  if (tokens.empty()) return fail(Code::kInvalid, "score: no tokens; give a text that has some");
  std::unique_ptr<NpyWriter> logits;
  if (!arguments.logits.empty()) {
    THAW_TRY(writer, NpyWriter::create(context.files, arguments.logits, tokens.size(),
                                       function->engine().plan().config.vocabulary));
    logits = std::move(writer);
  }
  const auto begin = context.clock.now();
  Scorer scorer(tokens, logits.get());
  const auto session = function->engine().new_session();
  const model::BatchItem item{session.get(), tokens, model::LogitsWanted::kAll};
  THAW_TRY_DO(function->engine().forward(
      std::span(&item, 1), [&](std::size_t, std::size_t index, std::span<const float> row) {
        return scorer.add(index, row);
      }));
  if (logits != nullptr) THAW_TRY_DO(logits->finish());
  const double seconds = std::chrono::duration<double>(context.clock.now() - begin).count();
  const double nll = scorer.mean_nll();
  if (arguments.json) {
    const json all = {{"tokens", tokens.size()},
                      {"mean_nll", nll},
                      {"perplexity", std::exp(nll)},
                      {"digest", scorer.digest()},
                      {"kernels", function->kernels().name}};
    std::fprintf(context.out, "%s\n", all.dump(2).c_str());
  } else {
    std::fprintf(context.out, "tokens      %zu\nmean nll    %s\nperplexity  %s\ndigest      %s\n",
                 tokens.size(), decimal(nll, 6).c_str(), decimal(std::exp(nll), 4).c_str(),
                 scorer.digest().c_str());
    std::fprintf(context.err, "%s tokens/s with %s\n",
                 decimal(static_cast<double>(tokens.size()) / seconds, 1).c_str(),
                 std::string(function->kernels().name).c_str());
  }
  return Done{};
}

}  // namespace thaw::cli
