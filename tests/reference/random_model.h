// Models of shapes that no golden model has: random weights, every kind's own panels.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <vector>

#include "base/random.h"
#include "handler/model/plan.h"
#include "kernels/pack.h"

namespace thaw::reference {

struct RandomModel {
  model::Plan plan;
  // What the plan points to; a deque keeps its elements where they are.
  std::deque<std::vector<float>> vectors;
  std::vector<std::unique_ptr<std::byte[]>> panels;
  std::vector<std::byte> embedding;
  std::vector<std::uint64_t> turns;

  RandomModel(const model::Config& config, kernels::Kind kind, std::uint64_t seed)
      : random_(seed), kind_(kind) {
    plan.config = config;
    while (turns.size() < config.rope_pairs) {
      turns.push_back(random_.next() >> (turns.size() + 3));  // slower from pair to pair
    }
    plan.rope_turns = turns;
    for (std::uint32_t i = 0; i < config.layers; ++i) add_layer(config);
    plan.output_norm = vector(config.dim, 1);
    plan.output = matrix(config.vocabulary, config.dim, 4);
    embedding.resize(*kernels::rows_bytes(kernels::Kind::kF32, config.vocabulary, config.dim));
    plan.embedding_rows = embedding;
    for (std::size_t at = 0; at < embedding.size(); at += sizeof(float)) {
      store(embedding.data() + at, random_.normal());
    }
  }

 private:
  void add_layer(const model::Config& c) {
    model::LayerPlan layer;
    layer.attention_norm = vector(c.dim, 1);
    layer.query = matrix(c.heads * c.head_dim, c.dim);
    layer.key = matrix(c.kv_heads * c.head_dim, c.dim);
    layer.value = matrix(c.kv_heads * c.value_dim, c.dim);
    layer.query_bias = vector(c.heads * c.head_dim, 0);
    layer.key_bias = vector(c.kv_heads * c.head_dim, 0);
    layer.value_bias = vector(c.kv_heads * c.value_dim, 0);
    layer.query_norm = vector(c.head_dim, 1);
    layer.key_norm = vector(c.head_dim, 1);
    layer.attention_output = matrix(c.dim, c.heads * c.value_dim);
    layer.feed_forward_norm = vector(c.dim, 1);
    layer.gate = matrix(c.ffn_dim, c.dim);
    layer.up = matrix(c.ffn_dim, c.dim);
    layer.down = matrix(c.dim, c.ffn_dim);
    plan.layers.push_back(layer);
  }

  // Values around `middle`.
  const float* vector(std::size_t count, float middle) {
    std::vector<float>& values = vectors.emplace_back(random_.floats(count));
    for (float& value : values) value = middle + 0.3f * value;
    return values.data();
  }

  // A product with a unit input has a deviation of about `scale`.
  kernels::Matrix matrix(std::uint32_t rows, std::uint32_t cols, float scale = 1) {
    const std::size_t panel_bytes = *kernels::panels_bytes(kind_, kernels::kPanelRows, cols);
    kernels::Matrix made{kind_, rows, cols, nullptr};
    const std::size_t bytes = made.panel_count() * panel_bytes;
    auto& block = panels.emplace_back(new std::byte[bytes + kernels::kPanelAlign]);
    void* at = block.get();
    std::size_t room = bytes + kernels::kPanelAlign;
    std::byte* to = static_cast<std::byte*>(std::align(kernels::kPanelAlign, bytes, at, room));
    made.panels = to;
    const std::size_t row_bytes = *kernels::rows_bytes(kind_, 1, cols);
    for (std::uint32_t first = 0; first < rows; first += kernels::kPanelRows, to += panel_bytes) {
      const std::size_t some = std::min<std::size_t>(kernels::kPanelRows, rows - first);
      std::vector<std::byte> packed(some * row_bytes);
      for (std::size_t r = 0; r < some; ++r) {
        std::vector<float> values;
        for (std::uint32_t i = 0; i < cols; ++i) {
          values.push_back(random_.normal() * scale / std::sqrt(static_cast<float>(cols)));
        }
        kernels::quantise_row(kind_, values, std::span(packed).subspan(r * row_bytes, row_bytes));
      }
      kernels::pack_panel(kind_, packed, some, cols, {to, panel_bytes});
    }
    return made;
  }

  Random random_;
  kernels::Kind kind_;
};

}  // namespace thaw::reference
