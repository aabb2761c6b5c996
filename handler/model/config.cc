#include "handler/model/config.h"

#include <cmath>

#include "base/str.h"
#include "kernels/kernels.h"

namespace thaw::model {

std::string_view name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kLlama: return "llama";
    case Architecture::kQwen2: return "qwen2";
    case Architecture::kQwen3: return "qwen3";
  }
  return "unknown";
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kEmbedding: return "embedding";
    case Role::kOutputNorm: return "output_norm";
    case Role::kOutput: return "output";
    case Role::kAttentionNorm: return "attention_norm";
    case Role::kQuery: return "query";
    case Role::kKey: return "key";
    case Role::kValue: return "value";
    case Role::kQueryBias: return "query_bias";
    case Role::kKeyBias: return "key_bias";
    case Role::kValueBias: return "value_bias";
    case Role::kQueryNorm: return "query_norm";
    case Role::kKeyNorm: return "key_norm";
    case Role::kAttentionOutput: return "attention_output";
    case Role::kFeedForwardNorm: return "feed_forward_norm";
    case Role::kGate: return "gate";
    case Role::kUp: return "up";
    case Role::kDown: return "down";
  }
  return "unknown";
}

std::string tensor_name(Role role, std::uint32_t layer) {
  if (static_cast<std::uint32_t>(role) < static_cast<std::uint32_t>(Role::kAttentionNorm)) {
    return std::string(name_of(role));
  }
  return cat("layers.", layer, ".", name_of(role));
}

namespace {

Error corrupt(std::string what) { return fail(Code::kCorrupt, cat("model config: ", what)); }

Result<Done> in_range(std::string_view name, std::uint64_t value, std::uint64_t low,
                      std::uint64_t high) {
  if (value >= low && value <= high) return Done{};
  return corrupt(cat("'", name, "' is ", value, ", wanted ", low, " to ", high,
                     "; the snapshot is damaged, freeze it anew"));
}

}  // namespace

Result<Done> validate(const Config& config) {
  if (config.version != kModelVersion) {
    return fail(Code::kUnsupported,
                cat("model config: model section version ", config.version, ", this build reads ",
                    kModelVersion, "; freeze the model anew"));
  }
  if (config.arithmetic_version != kernels::kArithmeticVersion) {
    return fail(Code::kUnsupported,
                cat("model config: frozen for arithmetic version ", config.arithmetic_version,
                    ", this build has ", kernels::kArithmeticVersion, "; freeze the model anew"));
  }
  THAW_TRY_DO(in_range("architecture", config.architecture, 1, 3));
  THAW_TRY_DO(in_range("layers", config.layers, 1, kLayersMax));
  THAW_TRY_DO(in_range("dim", config.dim, 1, kDimMax));
  THAW_TRY_DO(in_range("heads", config.heads, 1, kHeadsMax));
  THAW_TRY_DO(in_range("kv_heads", config.kv_heads, 1, config.heads));
  THAW_TRY_DO(in_range("head_dim", config.head_dim, 1, kDimMax / config.heads));
  THAW_TRY_DO(in_range("value_dim", config.value_dim, 1, kDimMax / config.heads));
  THAW_TRY_DO(in_range("ffn_dim", config.ffn_dim, 1, kDimMax));
  THAW_TRY_DO(in_range("vocabulary", config.vocabulary, 1, kVocabularyMax));
  THAW_TRY_DO(in_range("context_tokens", config.context_tokens, 1, kContextMax));
  THAW_TRY_DO(in_range("rope_pairs", config.rope_pairs, 0, config.head_dim / 2));
  THAW_TRY_DO(in_range("rope_interleaved", config.rope_interleaved, 0, 1));
  if (config.heads % config.kv_heads != 0) {
    return corrupt(cat(config.heads, " heads, not a multiple of ", config.kv_heads, " kv heads"));
  }
  if (!std::isfinite(config.rope_factor) || !std::isfinite(config.attention_scale) ||
      !std::isfinite(config.rms_epsilon) || config.rms_epsilon < 0) {
    return corrupt("a scale or epsilon is not finite; freeze the model anew");
  }
  return Done{};
}

std::optional<Shape> shape_of(const Config& c, Role role) {
  switch (role) {
    case Role::kEmbedding:
    case Role::kOutput: return Shape{c.vocabulary, c.dim, false};
    case Role::kOutputNorm:
    case Role::kAttentionNorm:
    case Role::kFeedForwardNorm: return Shape{1, c.dim, true};
    case Role::kQuery: return Shape{c.heads * c.head_dim, c.dim, false};
    case Role::kKey: return Shape{c.kv_heads * c.head_dim, c.dim, false};
    case Role::kValue: return Shape{c.kv_heads * c.value_dim, c.dim, false};
    case Role::kQueryBias: return Shape{1, c.heads * c.head_dim, true};
    case Role::kKeyBias: return Shape{1, c.kv_heads * c.head_dim, true};
    case Role::kValueBias: return Shape{1, c.kv_heads * c.value_dim, true};
    case Role::kQueryNorm:
    case Role::kKeyNorm: return Shape{1, c.head_dim, true};
    case Role::kAttentionOutput: return Shape{c.dim, c.heads * c.value_dim, false};
    case Role::kGate:
    case Role::kUp: return Shape{c.ffn_dim, c.dim, false};
    case Role::kDown: return Shape{c.dim, c.ffn_dim, false};
  }
  return std::nullopt;
}

}  // namespace thaw::model
