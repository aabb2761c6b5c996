// A model ready to be evaluated: every size checked once against the snapshot's sections, every
// tensor a pointer into the map. Nothing is copied.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/model/config.h"
#include "kernels/kernels.h"
#include "snapshot/sections.h"

namespace thaw::model {

struct LayerPlan {
  const float* attention_norm = nullptr;  // [dim]
  kernels::Matrix query, key, value;      // as their roles say
  const float* query_bias = nullptr;      // [heads * head_dim], or null; so the next two
  const float* key_bias = nullptr;
  const float* value_bias = nullptr;
  const float* query_norm = nullptr;  // [head_dim], or null; both or none
  const float* key_norm = nullptr;
  kernels::Matrix attention_output;
  const float* feed_forward_norm = nullptr;  // [dim]
  kernels::Matrix gate, up, down;
};

// Immutable once made; borrows the sections for its life. Members are open so that a test can break
// one and see the comparison fail.
struct Plan {
  Config config{};
  std::span<const std::uint64_t> rope_turns;  // [rope_pairs]
  std::vector<LayerPlan> layers;
  kernels::Matrix tied_embedding;  // panels; used if embedding_rows is empty
  Bytes embedding_rows;            // rows layout of `embedding_kind`
  kernels::Kind embedding_kind = kernels::Kind::kF32;
  const float* output_norm = nullptr;  // [dim]
  kernels::Matrix output;              // [vocabulary, dim]; the embedding where tied

  kernels::KvShape kv_shape() const { return {config.kv_heads, config.head_dim, config.value_dim}; }
  // Bytes of the KV cache of 64 positions, all layers.
  std::size_t kv_block_bytes() const { return kv_shape().block_bytes() * config.layers; }

  // Errors: kNotFound     a section is missing
  //         kUnsupported  another version of the model sections or of the arithmetic
  //         kCorrupt      a size, bound, shape or kind that contradicts another
  static Result<Plan> make(const snapshot::Sections& sections);
};

}  // namespace thaw::model
