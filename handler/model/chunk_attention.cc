// Attention of a chunk: queries, keys and values of one layer, and what comes of them.
#include <algorithm>

#include "handler/model/chunk_pass.h"

namespace thaw::model {
namespace {

// What one thread's partial attention results may take before tokens are taken in smaller tiles.
constexpr std::size_t kPartialFloatsMax = 128 << 10;
constexpr std::size_t kTileTokensMax = 16;
// Floats of queries up to which one thread prepares them.
constexpr std::size_t kAloneFloatsMax = 24 << 10;

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
  const auto token_of = [&](const Segment& segment, std::size_t token) {
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
  };
  // Few rows are done sooner than another thread is told of them: 8 of SmolLM2 in 7 us, not 15.
  if (rows_ * query_cols <= kAloneFloatsMax) {
    for (const Segment& segment : segments_) {
      for (std::size_t token = 0; token < segment.tokens.size(); ++token) token_of(segment, token);
    }
    return;
  }
  pool_.run(rows_, [&](std::size_t row, unsigned) {
    const auto after = [](std::size_t r, const Segment& segment) { return r < segment.first_row; };
    const Segment& segment =
        *(std::upper_bound(segments_.begin(), segments_.end(), row, after) - 1);
    token_of(segment, row - segment.first_row);
  });
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

// Few tokens and many positions: splits are tasks of their own, so that threads share few heads
// evenly. Else tokens are taken in tiles.
void ChunkPass::cut_attention() {
  const Config& c = plan_.config;
  const std::size_t heads_per_kv = c.heads / c.kv_heads;
  const std::size_t per_query = kernels::partial_floats(plan_.kv_shape());
  std::size_t tasks = 0, floats = 0;
  for (const Segment& segment : segments_) {
    AttentionCut cut;
    const std::size_t tokens = segment.tokens.size();
    cut.splits = (segment.first_position + tokens - 1) / kernels::kSplitPositions + 1;
    cut.tile = std::clamp<std::size_t>(kPartialFloatsMax / (cut.splits * heads_per_kv * per_query),
                                       1, kTileTokensMax);
    const std::size_t tiles = (tokens + cut.tile - 1) / cut.tile;
    cut.by_splits = tiles == 1 && cut.splits > 1;
    cut.first_task = tasks;
    tasks += (cut.by_splits ? cut.splits : tiles) * c.kv_heads;
    if (cut.by_splits) {
      cut.partials_at = floats;
      cut.split_floats = tokens * heads_per_kv * per_query;
      floats += c.kv_heads * cut.splits * cut.split_floats;
      merged_.push_back(attention_.size());
    }
    attention_.push_back(cut);
  }
  attention_tasks_ = tasks;
  scratch_.partials.floats(floats);
}

void ChunkPass::attend(std::uint32_t index) {
  const Config& c = plan_.config;
  scratch_.attended.floats(rows_ * c.heads * c.value_dim);
  pool_.run(attention_tasks_, [&](std::size_t task, unsigned thread) {
    const auto after = [](std::size_t t, const AttentionCut& cut) { return t < cut.first_task; };
    const auto cut = std::upper_bound(attention_.begin(), attention_.end(), task, after) - 1;
    const Segment& segment = segments_[static_cast<std::size_t>(cut - attention_.begin())];
    const auto kv_head = static_cast<std::uint32_t>((task - cut->first_task) % c.kv_heads);
    const std::size_t place = (task - cut->first_task) / c.kv_heads;
    if (cut->by_splits) {
      attend_one_split(index, segment, *cut, kv_head, static_cast<std::uint32_t>(place), thread);
    } else {
      const std::size_t begin = place * cut->tile;
      attend_tile(index, segment, kv_head, begin,
                  std::min(segment.tokens.size(), begin + cut->tile), thread);
    }
  });
  pool_.run(merged_.size() * c.kv_heads, [&](std::size_t task, unsigned) {
    const std::size_t at = merged_[task / c.kv_heads];
    const Segment& segment = segments_[at];
    const auto kv_head = static_cast<std::uint32_t>(task % c.kv_heads);
    merge(queries_of(index, segment, kv_head, 0, segment.tokens.size()),
          partials_of(attention_[at], kv_head, 0), segment.first_row);
  });
}

float* ChunkPass::partials_of(const AttentionCut& cut, std::uint32_t kv_head, std::uint32_t split) {
  return scratch_.partials.floats(0) + cut.partials_at +
         (kv_head * cut.splits + split) * cut.split_floats;
}

void ChunkPass::attend_one_split(std::uint32_t index, const Segment& segment,
                                 const AttentionCut& cut, std::uint32_t kv_head,
                                 std::uint32_t split, unsigned thread) {
  const kernels::KvShape shape = plan_.kv_shape();
  const kernels::Queries queries = queries_of(index, segment, kv_head, 0, segment.tokens.size());
  std::byte* scratch =
      scratch_.threads[thread].attend.bytes(set_.attend_scratch_bytes(shape, queries.count()));
  set_.attend_split(shape, queries, split, partials_of(cut, kv_head, split), scratch);
  take_restored(index, segment, kv_head, split);
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
