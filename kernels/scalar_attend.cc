#include "kernels/scalar_attend.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "kernels/float16.h"

namespace thaw::kernels::scalar {
namespace {

// Byte offsets inside a block.
std::size_t key_at(const KvShape& shape, std::size_t kv_head, std::uint32_t position,
                   std::size_t channel) {
  const std::size_t slot = position % kKvBlockPositions;
  const std::size_t panel = kv_head * (kKvBlockPositions / 16) + slot / 16;
  return 2 * ((panel * shape.key_dim + channel) * 16 + slot % 16);
}

std::size_t value_at(const KvShape& shape, std::size_t kv_head, std::uint32_t position,
                     std::size_t channel) {
  const std::size_t slot = position % kKvBlockPositions;
  return shape.key_bytes() +
         2 * ((kv_head * kKvBlockPositions + slot) * shape.value_stride() + channel);
}

float weight_of(float x) { return x < -64.0f ? 0.0f : exp_of(x); }

float f16_at(const std::byte* from) { return f16_to_f32(load<std::uint16_t>(from)); }

const std::byte* block_of(const Queries& queries, std::uint32_t position) {
  return queries.blocks[position / kKvBlockPositions];
}

// Scores of the positions [begin, end) into `scores`, in that order.
void score_positions(const KvShape& shape, const Queries& queries, const float* scaled,
                     std::uint32_t begin, std::uint32_t end, float* scores) {
  for (std::uint32_t j = begin; j < end; ++j) {
    const std::byte* block = block_of(queries, j);
    float acc = 0.0f;
    for (std::size_t c = 0; c < shape.key_dim; ++c) {
      acc = std::fma(scaled[c], f16_at(block + key_at(shape, queries.kv_head, j, c)), acc);
    }
    scores[j - begin] = acc;
  }
}

// One query's partial results over the positions [begin, end) of a split.
void attend_one(const KvShape& shape, const Queries& queries, const float* q, std::uint32_t begin,
                std::uint32_t end, float* partial, float* scratch) {
  float* weights = scratch;
  float* scaled = scratch + kSplitPositions;
  for (std::size_t c = 0; c < shape.key_dim; ++c) scaled[c] = q[c] * queries.scale;
  score_positions(shape, queries, scaled, begin, end, weights);
  const std::uint32_t count = end - begin;
  const float m = *std::max_element(weights, weights + count);
  float sums[16] = {};
  for (std::uint32_t i = 0; i < count; ++i) {
    weights[i] = weight_of(weights[i] - m);
    const std::uint32_t lane = (begin + i) % 16;
    sums[lane] = sums[lane] + weights[i];
  }
  partial[0] = m;
  partial[1] = tree(sums);
  for (std::size_t c = 0; c < shape.value_dim; ++c) {
    float acc = 0.0f;
    for (std::uint32_t j = begin; j < end; ++j) {
      const std::byte* block = block_of(queries, j);
      const float v = f16_at(block + value_at(shape, queries.kv_head, j, c));
      acc = std::fma(weights[j - begin], v, acc);
    }
    partial[16 + c] = acc;
  }
}

// Merges the splits of one query; split s at partials + s * split_floats.
void merge_one(const KvShape& shape, const float* partials, std::size_t split_floats,
               std::uint32_t splits, float* y) {
  float largest = partials[0];
  float sum = partials[1];
  for (std::size_t c = 0; c < shape.value_dim; ++c) y[c] = partials[16 + c];
  for (std::uint32_t s = 1; s < splits; ++s) {
    const float* partial = partials + s * split_floats;
    const float next = std::max(largest, partial[0]);
    const float a = weight_of(largest - next);
    const float b = weight_of(partial[0] - next);
    sum = std::fma(partial[1], b, sum * a);
    for (std::size_t c = 0; c < shape.value_dim; ++c) {
      y[c] = std::fma(partial[16 + c], b, y[c] * a);
    }
    largest = next;
  }
  const float inverse = 1.0f / sum;
  for (std::size_t c = 0; c < shape.value_dim; ++c) y[c] = y[c] * inverse;
}

}  // namespace

void store_kv(const KvShape& shape, const float* keys, const float* values, std::uint32_t position,
              std::byte* block) {
  for (std::size_t head = 0; head < shape.kv_heads; ++head) {
    for (std::size_t c = 0; c < shape.key_dim; ++c) {
      store(block + key_at(shape, head, position, c),
            f32_to_f16_clamped(keys[head * shape.key_dim + c]));
    }
    for (std::size_t c = 0; c < shape.value_stride(); ++c) {
      const float value = c < shape.value_dim ? values[head * shape.value_dim + c] : 0.0f;
      store(block + value_at(shape, head, position, c), f32_to_f16_clamped(value));
    }
  }
}

void attend_split(const KvShape& shape, const Queries& queries, std::uint32_t split,
                  float* partials, std::byte* scratch) {
  const std::uint32_t begin = split * kSplitPositions;
  for (std::uint32_t t = 0; t < queries.tokens; ++t) {
    const std::uint32_t position = queries.first_position + t;
    if (begin > position) continue;
    const std::uint32_t end = std::min(position + 1, begin + kSplitPositions);
    for (std::uint32_t h = 0; h < queries.heads; ++h) {
      const float* q = queries.q + t * queries.stride + h * shape.key_dim;
      float* partial = partials + (std::size_t{t} * queries.heads + h) * partial_floats(shape);
      attend_one(shape, queries, q, begin, end, partial, reinterpret_cast<float*>(scratch));
    }
  }
}

std::size_t attend_scratch_bytes(const KvShape& shape, std::size_t) {
  return round_up((kSplitPositions + std::size_t{shape.key_dim}) * sizeof(float), 64);
}

void attend_merge(const KvShape& shape, const Queries& queries, const float* partials, float* y,
                  std::size_t y_stride) {
  const std::size_t split_floats = queries.count() * partial_floats(shape);
  for (std::uint32_t t = 0; t < queries.tokens; ++t) {
    const std::uint32_t splits = (queries.first_position + t) / kSplitPositions + 1;
    for (std::uint32_t h = 0; h < queries.heads; ++h) {
      const std::size_t query = std::size_t{t} * queries.heads + h;
      merge_one(shape, partials + query * partial_floats(shape), split_floats, splits,
                y + t * y_stride + h * std::size_t{shape.value_dim});
    }
  }
}

}  // namespace thaw::kernels::scalar
