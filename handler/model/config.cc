#include "handler/model/config.h"

#include "base/str.h"

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

}  // namespace thaw::model
