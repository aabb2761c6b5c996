#include "handler/freeze/tensor_names.h"

#include <algorithm>
#include <charconv>

namespace thaw::freeze {
namespace {

using model::Role;
using Name = TensorNames::Name;

constexpr Name kGgufModel[] = {
    {"token_embd.weight", Role::kEmbedding},
    {"output_norm.weight", Role::kOutputNorm},
    {"output.weight", Role::kOutput},
};
constexpr Name kGgufLayer[] = {
    {"attn_norm.weight", Role::kAttentionNorm},
    {"attn_q.weight", Role::kQuery},
    {"attn_k.weight", Role::kKey},
    {"attn_v.weight", Role::kValue},
    {"attn_q.bias", Role::kQueryBias},
    {"attn_k.bias", Role::kKeyBias},
    {"attn_v.bias", Role::kValueBias},
    {"attn_q_norm.weight", Role::kQueryNorm},
    {"attn_k_norm.weight", Role::kKeyNorm},
    {"attn_output.weight", Role::kAttentionOutput},
    {"ffn_norm.weight", Role::kFeedForwardNorm},
    {"ffn_gate.weight", Role::kGate},
    {"ffn_up.weight", Role::kUp},
    {"ffn_down.weight", Role::kDown},
};
constexpr std::string_view kGgufDerived[] = {"attn_rot_embd", "rope_freqs"};

constexpr Name kHuggingFaceModel[] = {
    {"model.embed_tokens.weight", Role::kEmbedding},
    {"model.norm.weight", Role::kOutputNorm},
    {"lm_head.weight", Role::kOutput},
};
constexpr Name kHuggingFaceLayer[] = {
    {"input_layernorm.weight", Role::kAttentionNorm},
    {"self_attn.q_proj.weight", Role::kQuery},
    {"self_attn.k_proj.weight", Role::kKey},
    {"self_attn.v_proj.weight", Role::kValue},
    {"self_attn.q_proj.bias", Role::kQueryBias},
    {"self_attn.k_proj.bias", Role::kKeyBias},
    {"self_attn.v_proj.bias", Role::kValueBias},
    {"self_attn.q_norm.weight", Role::kQueryNorm},
    {"self_attn.k_norm.weight", Role::kKeyNorm},
    {"self_attn.o_proj.weight", Role::kAttentionOutput},
    {"post_attention_layernorm.weight", Role::kFeedForwardNorm},
    {"mlp.gate_proj.weight", Role::kGate},
    {"mlp.up_proj.weight", Role::kUp},
    {"mlp.down_proj.weight", Role::kDown},
};
constexpr std::string_view kHuggingFaceDerived[] = {"self_attn.rotary_emb.inv_freq"};

std::optional<TensorPlace> find_among(std::span<const Name> names,
                                      std::span<const std::string_view> derived,
                                      std::string_view name, std::uint32_t layer) {
  const auto found = std::ranges::find(names, name, &Name::name);
  if (found != names.end()) return TensorPlace{found->role, layer, false};
  if (std::ranges::find(derived, name) != derived.end()) return TensorPlace{{}, layer, true};
  return std::nullopt;
}

}  // namespace

const TensorNames kGgufNames = {kGgufModel, "blk.", kGgufLayer, kGgufDerived};
const TensorNames kHuggingFaceNames = {kHuggingFaceModel, "model.layers.", kHuggingFaceLayer,
                                       kHuggingFaceDerived};

std::optional<TensorPlace> find_tensor(const TensorNames& names, std::string_view name) {
  if (!name.starts_with(names.layer_prefix)) {
    return find_among(names.of_model, names.derived, name, 0);
  }
  const char* begin = name.data() + names.layer_prefix.size();
  const char* end = name.data() + name.size();
  std::uint32_t layer = 0;
  const auto digits = std::from_chars(begin, end, layer);
  if (digits.ec != std::errc() || digits.ptr == end || *digits.ptr != '.') return std::nullopt;
  return find_among(names.of_layer, names.derived, {digits.ptr + 1, end}, layer);
}

}  // namespace thaw::freeze
