// Attention of a chunk: queries, keys and values of one layer, and what comes of them.
#include <algorithm>

#include "handler/model/chunk_pass.h"

namespace thaw::model {
namespace {

// What one thread's partial attention results may take before tokens are taken in smaller tiles.
constexpr std::size_t kPartialFloatsMax = 128 << 10;
constexpr std::size_t kTileTokensMax = 16;

}  // namespace

void ChunkPass::attention_inputs(std::uint32_t index) {
  const Config& c = plan_.config;
  const LayerPlan& layer = plan_.layers[index];
  const kernels::KvShape shape = plan_.kv_shape();
  const std::size_t query_cols = std::size_t{c.heads} * c.head_dim;
  const std::size_t key_cols = std::size_t{c.kv_heads} * c.head_dim;
  const std::size_t value_cols = std::size_t{c.kv_heads} * c.value_dim;
  float* queries = scratch_.query.floats(0);
  float* keys = scratch_.key.floats(0);
  float* values = scratch_.value.floats(0);
  const float* cosine = scratch_.cosine.floats(0);
  const float* sine = scratch_.sine.floats(0);

  const auto heads = [&](float* x, std::size_t count, const float* norm, std::size_t row) {
    for (std::size_t head = 0; head < count; ++head, x += c.head_dim) {
      if (norm != nullptr) set_.rms_norm(x, norm, c.rms_epsilon, c.head_dim, x);
      set_.rope(x, cosine + row * c.rope_pairs, sine + row * c.rope_pairs, c.rope_pairs,
                c.rope_interleaved != 0);
    }
  };
  for (const Segment& segment : segments_) {
    pool_.run(segment.tokens.size(), [&](std::size_t token, unsigned) {
      const std::size_t row = segment.first_row + token;
      float* q = queries + row * query_cols;
      float* k = keys + row * key_cols;
      float* v = values + row * value_cols;
      if (layer.query_bias != nullptr) set_.add(q, layer.query_bias, query_cols);
      if (layer.key_bias != nullptr) set_.add(k, layer.key_bias, key_cols);
      if (layer.value_bias != nullptr) set_.add(v, layer.value_bias, value_cols);
      heads(q, c.heads, layer.query_norm, row);
      heads(k, c.kv_heads, layer.key_norm, row);
      const auto position = static_cast<std::uint32_t>(segment.first_position + token);
      set_.store_kv(shape, k, v, position, segment.session->block_at(index, position));
    });
  }
}

// One kv head of a layer and some of a segment's tokens.
kernels::Queries ChunkPass::queries_of(std::uint32_t index, const Segment& segment,
                                       std::uint32_t kv_head, std::size_t begin,
                                       std::size_t end) const {
  const Config& c = plan_.config;
  const std::uint32_t heads_per_kv = c.heads / c.kv_heads;
  const std::size_t query_cols = std::size_t{c.heads} * c.head_dim;
  kernels::Queries queries;
  queries.q = scratch_.query.floats(0) + (segment.first_row + begin) * query_cols +
              kv_head * heads_per_kv * c.head_dim;
  queries.stride = query_cols;
  queries.tokens = static_cast<std::uint32_t>(end - begin);
  queries.heads = heads_per_kv;
  queries.kv_head = kv_head;
  queries.first_position = segment.first_position + static_cast<std::uint32_t>(begin);
  queries.scale = c.attention_scale;
  queries.blocks = segment.session->table(index);
  return queries;
}

// The keys and values that a split's queries have just read, where they lie in the snapshot and
// nobody has checked them yet.
void ChunkPass::take_restored(std::uint32_t index, const Segment& segment, std::uint32_t kv_head,
                              std::uint32_t split) {
  const KvView& restored = segment.session->unchecked();
  if (supply_ == nullptr || !supply_->checks() || restored.positions == 0) return;
  const kernels::KvShape shape = plan_.kv_shape();
  const std::size_t keys = shape.key_bytes() / shape.kv_heads;
  const std::size_t values = shape.value_bytes() / shape.kv_heads;
  constexpr std::size_t kBlocks = kernels::kSplitPositions / kernels::kKvBlockPositions;
  const std::size_t whole = restored.positions / kernels::kKvBlockPositions;
  const std::size_t layers = plan_.layers.size();
  for (std::size_t b = split * kBlocks; b < std::min(whole, (split + 1) * kBlocks); ++b) {
    const std::byte* block = restored.block(b) + index * shape.block_bytes();
    supply_->pass({block + kv_head * keys, keys});
    const std::byte* of_values = block + shape.key_bytes() + kv_head * values;
    const bool last = index + 1 == layers && kv_head + 1 == shape.kv_heads;
    const std::byte* end = last ? restored.block(b + 1) : of_values + values;  // with its padding
    supply_->pass({of_values, end});
  }
}

void ChunkPass::attend(std::uint32_t index) {
  const Config& c = plan_.config;
  scratch_.attended.floats(rows_ * c.heads * c.value_dim);
  const std::size_t heads_per_kv = c.heads / c.kv_heads;
  const std::size_t per_query = kernels::partial_floats(plan_.kv_shape());
  for (const Segment& segment : segments_) {
    const std::size_t tokens = segment.tokens.size();
    const std::size_t splits = (segment.first_position + tokens - 1) / kernels::kSplitPositions + 1;
    const std::size_t tile = std::clamp<std::size_t>(
        kPartialFloatsMax / (splits * heads_per_kv * per_query), 1, kTileTokensMax);
    const std::size_t tiles = (tokens + tile - 1) / tile;
    if (tiles == 1 && splits > 1) {
      attend_by_splits(index, segment, splits);
      continue;
    }
    pool_.run(tiles * c.kv_heads, [&](std::size_t task, unsigned thread) {
      const std::size_t begin = task / c.kv_heads * tile;
      attend_tile(index, segment, static_cast<std::uint32_t>(task % c.kv_heads), begin,
                  std::min(tokens, begin + tile), thread);
    });
  }
}

// Few tokens, many positions: splits are tasks of their own, so that threads share few heads
// evenly.
void ChunkPass::attend_by_splits(std::uint32_t index, const Segment& segment, std::size_t splits) {
  const Config& c = plan_.config;
  const kernels::KvShape shape = plan_.kv_shape();
  const std::size_t tokens = segment.tokens.size();
  const std::size_t split_floats = tokens * (c.heads / c.kv_heads) * kernels::partial_floats(shape);
  float* partials = scratch_.partials.floats(c.kv_heads * splits * split_floats);
  pool_.run(splits * c.kv_heads, [&](std::size_t task, unsigned thread) {
    const auto split = static_cast<std::uint32_t>(task / c.kv_heads);
    const auto kv_head = static_cast<std::uint32_t>(task % c.kv_heads);
    const kernels::Queries queries = queries_of(index, segment, kv_head, 0, tokens);
    std::byte* scratch =
        scratch_.threads[thread].attend.bytes(set_.attend_scratch_bytes(shape, queries.count()));
    set_.attend_split(shape, queries, split, partials + (kv_head * splits + split) * split_floats,
                      scratch);
    take_restored(index, segment, kv_head, split);
  });
  pool_.run(c.kv_heads, [&](std::size_t kv_head, unsigned) {
    merge(queries_of(index, segment, static_cast<std::uint32_t>(kv_head), 0, tokens),
          partials + kv_head * splits * split_floats, segment.first_row);
  });
}

void ChunkPass::merge(const kernels::Queries& queries, const float* partials, std::size_t row) {
  const Config& c = plan_.config;
  const std::size_t cols = std::size_t{c.heads} * c.value_dim;
  set_.attend_merge(
      plan_.kv_shape(), queries, partials,
      scratch_.attended.floats(0) + row * cols + queries.kv_head * queries.heads * c.value_dim,
      cols);
}

void ChunkPass::attend_tile(std::uint32_t index, const Segment& segment, std::uint32_t kv_head,
                            std::size_t begin, std::size_t end, unsigned thread) {
  const kernels::KvShape shape = plan_.kv_shape();
  const kernels::Queries queries = queries_of(index, segment, kv_head, begin, end);
  Engine::Scratch::PerThread& mine = scratch_.threads[thread];
  const std::size_t split_floats = queries.count() * kernels::partial_floats(shape);
  float* partials = mine.partials.floats(queries.splits() * split_floats);
  std::byte* scratch = mine.attend.bytes(set_.attend_scratch_bytes(shape, queries.count()));
  for (std::uint32_t split = 0; split < queries.splits(); ++split) {
    set_.attend_split(shape, queries, split, partials + split * split_floats, scratch);
    if (begin == 0) take_restored(index, segment, kv_head, split);
  }
  merge(queries, partials, segment.first_row + begin);
}

}  // namespace thaw::model
