// Reads what thaw needs of a GGUF file: llama (Llama 1-3.3, TinyLlama, SmolLM2, DeepSeek-LLM,
// R1-Distill-Llama), qwen2 and qwen3.

#include <array>
#include <cmath>
#include <set>

#include "base/str.h"
#include "handler/freeze/rope.h"
#include "handler/freeze/source.h"
#include "handler/freeze/tensor_names.h"
#include "handler/text/pre_tokenizer.h"
#include "kernels/kernels.h"
#include "snapshot/name.h"

namespace thaw::freeze {
namespace {

using model::Role;

class GgufSource final : public ModelSource {
 public:
  Result<Done> open(Files& files, const std::string& path) {
    THAW_TRY(file, gguf::File::open(files, path));
    file_ = std::move(file);
    format = "GGUF";
    name = file_->text("general.name").value_or("");
    license = file_->text("general.license").value_or("");
    THAW_TRY_DO(read_architecture());
    THAW_TRY_DO(read_tensors());
    THAW_TRY_DO(read_sizes());
    THAW_TRY_DO(read_rope());
    THAW_TRY_DO(read_tokenizer());
    chat_template = file_->text("tokenizer.chat_template").value_or("");
    return Done{};
  }

 private:
  Error unsupported(std::string what) const {
    return fail(Code::kUnsupported, cat("import '", file_->path(), "': ", what));
  }
  Error corrupt(std::string what) const {
    return fail(Code::kCorrupt, cat("import '", file_->path(), "': ", what));
  }
  std::string key(std::string_view suffix) const { return cat(architecture_, ".", suffix); }

  // A size that the file must give, within u32.
  Result<std::uint32_t> size(std::string_view suffix, std::optional<std::uint64_t> otherwise) {
    const std::string full = key(suffix);
    auto value = file_->integer(full);
    if (!value && file_->has(full)) {
      return unsupported(cat("key '", full, "' is no plain number (sizes that differ by layer?)"));
    }
    if (!value) value = otherwise;
    if (!value) return corrupt(cat("key '", full, "' is missing"));
    if (*value > UINT32_MAX) return corrupt(cat("key '", full, "' is ", *value));
    return static_cast<std::uint32_t>(*value);
  }

  Result<Done> read_architecture() {
    architecture_ = file_->text("general.architecture").value_or("");
    if (architecture_ == "llama") config.architecture = 1;
    if (architecture_ == "qwen2") config.architecture = 2;
    if (architecture_ == "qwen3") config.architecture = 3;
    if (config.architecture == 0) {
      return unsupported(
          cat("architecture ", snapshot::quote(architecture_),
              ", this build evaluates llama, qwen2 and qwen3"));
    }
    const std::uint64_t parts = file_->integer("split.count").value_or(1);
    if (parts > 1) {
      return unsupported(
          cat("one of ", parts, " parts of a split model; join them first (gguf-split --merge)"));
    }
    if (file_->integer(key("expert_count")).value_or(0) > 0) {
      return unsupported("a mixture-of-experts model; this build evaluates dense ones");
    }
    return Done{};
  }

  Result<Done> read_tensors();
  Result<Done> read_tensor(const gguf::Tensor& tensor);
  Result<Done> read_sizes();
  Result<Done> read_rope();
  Result<Done> read_tokenizer();
  void read_ends(text::TokenizerSource& to);

  std::unique_ptr<gguf::File> file_;
  std::string_view architecture_;
  std::uint64_t vocabulary_ = 0;
  std::vector<float> rope_divisors_;
};

Result<Done> GgufSource::read_tensors() {
  for (const gguf::Tensor& tensor : file_->tensors()) THAW_TRY_DO(read_tensor(tensor));
  if (vocabulary_ == 0) return corrupt("tensor 'token_embd.weight' is missing");
  return Done{};
}

Result<Done> GgufSource::read_tensor(const gguf::Tensor& tensor) {
  SourceTensor to;
  to.name = std::string(tensor.name);
  to.type = tensor.type;
  to.rows = tensor.rows();
  to.cols = tensor.cols();
  to.bytes = tensor.bytes;
  if (tensor.shape.size() > 2) {
    return unsupported(
        cat("tensor ", snapshot::quote(tensor.name), " has ", tensor.shape.size(),
            " dimensions, wanted 1 or 2"));
  }
  if (tensor.name == "rope_freqs.weight") {
    rope_divisors_.resize(to.rows * to.cols);
    return gguf::dequantise(tensor.type, tensor.bytes, rope_divisors_);
  }
  const auto place = find_tensor(kGgufNames, tensor.name);
  // A tensor this build would silently leave out changes the model: refuse it.
  if (!place) {
    return unsupported(cat("tensor ", snapshot::quote(tensor.name), ", not part of a plain ",
                           architecture_, " model; this build cannot evaluate it"));
  }
  if (place->is_derived) return Done{};
  to.role = place->role;
  to.layer = place->layer;
  if (to.role == Role::kEmbedding) vocabulary_ = to.rows;
  tensors.push_back(std::move(to));
  return Done{};
}

Result<Done> GgufSource::read_sizes() {
  model::Config& c = config;
  c.version = model::kModelVersion;
  c.arithmetic_version = kernels::kArithmeticVersion;
  if (vocabulary_ > UINT32_MAX) return corrupt(cat("vocabulary of ", vocabulary_));
  c.vocabulary = static_cast<std::uint32_t>(vocabulary_);
  THAW_TRY(layers, size("block_count", std::nullopt));
  THAW_TRY(dim, size("embedding_length", std::nullopt));
  THAW_TRY(heads, size("attention.head_count", std::nullopt));
  THAW_TRY(kv_heads, size("attention.head_count_kv", heads));
  if (heads == 0 || kv_heads == 0) return corrupt("no attention heads");
  THAW_TRY(head_dim, size("attention.key_length", dim / heads));
  THAW_TRY(value_dim, size("attention.value_length", dim / heads));
  THAW_TRY(ffn_dim, size("feed_forward_length", std::nullopt));
  THAW_TRY(context, size("context_length", std::nullopt));
  c.layers = layers;
  c.dim = dim;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = head_dim;
  c.value_dim = value_dim;
  c.ffn_dim = ffn_dim;
  c.context_tokens = context;
  const auto epsilon = file_->number(key("attention.layer_norm_rms_epsilon"));
  if (!epsilon)
    return corrupt(cat("key '", key("attention.layer_norm_rms_epsilon"), "' is missing"));
  c.rms_epsilon = static_cast<float>(*epsilon);
  c.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  return Done{};
}

Result<Done> GgufSource::read_rope() {
  THAW_TRY(dims, size("rope.dimension_count", config.head_dim));
  if (dims == 0 || dims % 2 != 0 || dims > config.head_dim) {
    return corrupt(cat("key '", key("rope.dimension_count"), "' is ", dims, ", heads are ",
                       config.head_dim, " wide"));
  }
  RopeScaling scaling;
  const std::string_view type = file_->text(key("rope.scaling.type")).value_or("none");
  scaling.factor = file_->number(key("rope.scaling.factor"))
                       .value_or(file_->number(key("rope.scale_linear")).value_or(1));
  if (type == "linear" || (type == "none" && file_->has(key("rope.scale_linear")))) {
    scaling.type = RopeScaling::Type::kLinear;
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::kYarn;
    scaling.original_context =
        file_->number(key("rope.scaling.original_context_length")).value_or(config.context_tokens);
    scaling.beta_fast = file_->number(key("rope.scaling.yarn_beta_fast")).value_or(32);
    scaling.beta_slow = file_->number(key("rope.scaling.yarn_beta_slow")).value_or(1);
    const double extra = file_->number(key("rope.scaling.attn_factor")).value_or(1);
    scaling.attention_factor =
        extra * (scaling.factor > 1 ? 0.1 * std::log(scaling.factor) + 1 : 1.0);
  } else if (type != "none") {
    return unsupported(cat("rope scaling ", snapshot::quote(type),
                           ", this build knows none, linear and yarn"));
  }
  const double base = file_->number(key("rope.freq_base")).value_or(10000);
  THAW_TRY(rope, make_rope(dims, base, scaling, rope_divisors_));
  config.rope_pairs = dims / 2;
  // GGUF permutes the query and key rows of llama models so that pairs are neighbours.
  config.rope_interleaved = config.architecture == 1 ? 1 : 0;
  config.rope_factor = rope.factor;
  rope_turns = std::move(rope.turns);
  return Done{};
}

Result<Done> GgufSource::read_tokenizer() {
  text::TokenizerSource& to = tokenizer;
  const std::string_view model = file_->text("tokenizer.ggml.model").value_or("");
  if (model == "gpt2") {
    to.model = text::TokenizerSource::Model::kByteBpe;
  } else if (model == "llama") {
    to.model = text::TokenizerSource::Model::kSentencePiece;
  } else {
    return unsupported(
        cat("tokenizer ", snapshot::quote(model), ", this build knows gpt2 and llama"));
  }
  to.pre = file_->text("tokenizer.ggml.pre").value_or("default");
  if (to.model == text::TokenizerSource::Model::kByteBpe && !text::pre_tokenizer_named(to.pre)) {
    return unsupported(cat("pre-tokenizer ", snapshot::quote(to.pre), ", this build knows ",
                           text::pre_tokenizer_names()));
  }
  const auto copy = [](const auto& views) {
    return std::vector<std::string>(views.begin(), views.end());
  };
  if (const auto tokens = file_->texts("tokenizer.ggml.tokens")) to.tokens = copy(*tokens);
  if (const auto merges = file_->texts("tokenizer.ggml.merges")) to.merges = copy(*merges);
  if (const auto scores = file_->numbers("tokenizer.ggml.scores")) to.scores = *scores;
  if (to.tokens.size() > vocabulary_) {
    return corrupt(cat("tokenizer of ", to.tokens.size(), " tokens, the embedding has ",
                       vocabulary_, " rows"));
  }
  to.types.assign(to.tokens.size(), text::TokenType::kNormal);
  if (const auto types = file_->integers("tokenizer.ggml.token_type")) {
    if (types->size() != to.tokens.size()) {
      return corrupt(cat(types->size(), " token types for ", to.tokens.size(), " tokens"));
    }
    for (std::size_t i = 0; i < types->size(); ++i) {
      const std::int64_t type = (*types)[i];
      if (type < 1 || type > 6) return corrupt(cat("token ", i, ": type ", type));
      to.types[i] = static_cast<text::TokenType>(type);
    }
  }
  const auto id = [&](std::string_view suffix) -> std::optional<text::Token> {
    const auto value = file_->integer(cat("tokenizer.ggml.", suffix));
    if (!value || *value >= to.tokens.size()) return std::nullopt;
    return static_cast<text::Token>(*value);
  };
  to.bos = id("bos_token_id");
  to.eos = id("eos_token_id");
  to.unknown = id("unknown_token_id");
  to.padding = id("padding_token_id");
  const bool pieces = to.model == text::TokenizerSource::Model::kSentencePiece;
  // Llama 3's files of the first months carry no flag, and its tokenizer adds BOS.
  const bool adds = pieces || to.pre == "llama-bpe" || to.pre == "llama3" ||
                    to.pre == "deepseek-llm" || to.pre == "deepseek-coder" ||
                    to.pre == "deepseek-v3";
  to.add_bos = file_->boolean("tokenizer.ggml.add_bos_token").value_or(adds) && to.bos.has_value();
  to.add_eos = file_->boolean("tokenizer.ggml.add_eos_token").value_or(false);
  to.add_space_prefix = file_->boolean("tokenizer.ggml.add_space_prefix").value_or(pieces);
  to.ignore_merges = to.pre == "llama-bpe" || to.pre == "llama3" || to.pre == "llama-v3";
  to.nfc = to.pre == "qwen2" || to.pre == "deepseek-r1-qwen";
  read_ends(to);
  return Done{};
}

// Generation stops at eos, eot and eom, and at tokens that are spelt like an end of turn: many
// files name only one of them.
void GgufSource::read_ends(text::TokenizerSource& to) {
  std::set<text::Token> ends;
  if (to.eos) ends.insert(*to.eos);
  for (const char* suffix : {"eot_token_id", "eom_token_id"}) {
    const auto value = file_->integer(cat("tokenizer.ggml.", suffix));
    if (value && *value < to.tokens.size()) ends.insert(static_cast<text::Token>(*value));
  }
  constexpr std::array<std::string_view, 7> kEnds = {
      "<|im_end|>",    "<|eot_id|>",    "<|eom_id|>",           "<|end|>",
      "<end_of_turn>", "<|endoftext|>", "<｜end▁of▁sentence｜>"};
  for (std::size_t i = 0; i < to.tokens.size(); ++i) {
    if (to.types[i] != text::TokenType::kControl) continue;
    for (const std::string_view end : kEnds) {
      if (to.tokens[i] == end) ends.insert(static_cast<text::Token>(i));
    }
  }
  to.ends.assign(ends.begin(), ends.end());
}

}  // namespace

Result<std::unique_ptr<ModelSource>> open_gguf(Files& files, const std::string& path) {
  auto source = std::make_unique<GgufSource>();
  THAW_TRY_DO(source->open(files, path));
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace thaw::freeze
