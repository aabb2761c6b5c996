// Attention over one split, and the merge of splits: ARITHMETIC.md, "attention". Included inside a
// set's target region, after vectors-inl.h.
//
// Queries are taken in tiles of up to kQueryTile, which share the widening of keys and values from
// f16. With fewer queries a tile takes several panels (or channels) at once instead, so that there
// are always enough independent sums to hide an fma's latency.

constexpr int spread(int queries) {
  return queries * 4 <= static_cast<int>(kLanesAccumulators) + 2   ? 4
         : queries * 2 <= static_cast<int>(kLanesAccumulators) + 1 ? 2
                                                                   : 1;
}

// Clamps to f16's range; NaN stays NaN.
THAW_INLINE Lanes16 clamp_to_f16(Lanes16 x) {
  return min(Lanes16::set1(65504.0f), max(Lanes16::set1(-65504.0f), x));
}

void store_kv(const KvShape& shape, const float* keys, const float* values, std::uint32_t position,
              std::byte* block) {
  const std::size_t place = position % kKvBlockPositions;
  const std::size_t panel = place / 16, lane = place % 16;
  std::uint16_t halves[16];
  for (std::size_t head = 0; head < shape.kv_heads; ++head) {
    const float* from = keys + head * shape.key_dim;
    std::byte* to = block + 2 * ((head * 4 + panel) * shape.key_dim * 16 + lane);
    for (std::size_t c = 0; c < shape.key_dim; c += 16) {
      const std::size_t count = shape.key_dim - c < 16 ? shape.key_dim - c : 16;
      const Lanes16 key = count == 16 ? Lanes16::load(from + c) : load_some(from + c, count);
      clamp_to_f16(key).store_f16(halves);
      for (std::size_t i = 0; i < count; ++i) thaw::store(to + 32 * (c + i), halves[i]);
    }
  }
  const std::size_t stride = shape.value_stride();
  for (std::size_t head = 0; head < shape.kv_heads; ++head) {
    const float* from = values + head * shape.value_dim;
    std::byte* to = block + shape.key_bytes() + 2 * (head * kKvBlockPositions + place) * stride;
    for (std::size_t c = 0; c < shape.value_dim; c += 16) {
      const std::size_t count = shape.value_dim - c < 16 ? shape.value_dim - c : 16;
      const Lanes16 value = count == 16 ? Lanes16::load(from + c) : load_some(from + c, count);
      clamp_to_f16(value).store_f16(to + 2 * c);  // the padding gets zeros
    }
  }
}

// scores[i * 512 + 16 * p + lane] of kQueries queries against kPanels panels of keys.
//   keys   f16 [kPanels][key_dim][16]
//   q      [key_dim][kQueries], scaled
template <int kQueries, int kPanels>
THAW_INLINE void score_panels(const std::byte* keys, std::size_t key_dim, const float* q,
                              float* scores) {
  Lanes16 sums[kQueries][kPanels];
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[i][p] = Lanes16::zero();
  }
  for (std::size_t c = 0; c < key_dim; ++c, keys += 32, q += kQueries) {
    Lanes16 k[kPanels];
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) k[p] = Lanes16::load_f16(keys + 32 * key_dim * p);
    THAW_UNROLL
    for (int i = 0; i < kQueries; ++i) {
      const Lanes16 channel = Lanes16::set1(q[i]);
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) sums[i][p] = fma(channel, k[p], sums[i][p]);
    }
  }
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[i][p].store(scores + i * kSplitPositions + 16 * p);
  }
}

// Scores of the first `positions` positions of a split, rounded up to whole panels.
//   blocks  of the split; keys_at: bytes from a block's start to the kv head's keys
template <int kQueries>
void score_tile(const std::byte* const* blocks, std::size_t keys_at, std::size_t key_dim,
                std::size_t positions, const float* q, float* scores) {
  constexpr int kPanels = spread(kQueries);
  const std::size_t panels = (positions + 15) / 16;
  std::size_t panel = 0;
  while (panel < panels) {
    const std::byte* keys = blocks[panel / 4] + keys_at + (panel % 4) * key_dim * 32;
    float* to = scores + 16 * panel;
    if (panel % kPanels == 0 && panel + kPanels <= panels) {  // never across two blocks
      score_panels<kQueries, kPanels>(keys, key_dim, q, to);
      panel += kPanels;
    } else {
      score_panels<kQueries, 1>(keys, key_dim, q, to);
      ++panel;
    }
  }
}

THAW_INLINE Lanes16 weight_lanes(Lanes16 x) { return zero_below(x, -64.0f, exp_lanes(x)); }

// Turns scores[0 .. count) into weights, in place; gives the maximum and the sum of weights.
// Overwrites the lanes up to the next multiple of 16.
inline void soften(float* scores, std::size_t count, float* maximum, float* sum) {
  const float largest = largest_of(scores, count);
  const Lanes16 top = Lanes16::set1(largest);
  Lanes16 sums = Lanes16::zero();
  std::size_t j = 0;
  for (; j + 16 <= count; j += 16) {
    const Lanes16 e = weight_lanes(sub(Lanes16::load(scores + j), top));
    e.store(scores + j);
    sums = add(sums, e);
  }
  if (j < count) {
    weight_lanes(sub(load_some(scores + j, count - j), top)).store(scores + j);
    sums = add(sums, load_some(scores + j, count - j));
  }
  *maximum = largest;
  *sum = sums.tree();
}

// Adds positions [from, to) of a split, weighted, onto kChunks * 16 channels of kQueries queries.
//   values_at  bytes from a block's start to the first of these channels of the kv head's values
//   sums       of query i at sums + i * sums_stride
template <int kQueries, int kChunks>
THAW_INLINE void weigh_chunks(const std::byte* const* blocks, std::size_t values_at,
                              std::size_t row_bytes, std::size_t from, std::size_t to,
                              const float* weights, float* sums, std::size_t sums_stride) {
  Lanes16 acc[kQueries][kChunks];
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int v = 0; v < kChunks; ++v) acc[i][v] = Lanes16::load(sums + i * sums_stride + 16 * v);
  }
  while (from < to) {
    const std::size_t place = from % kKvBlockPositions;
    const std::size_t left = kKvBlockPositions - place;
    const std::size_t count = to - from < left ? to - from : left;
    const std::byte* row = blocks[from / kKvBlockPositions] + values_at + place * row_bytes;
    const float* e = weights + from;
    for (std::size_t j = 0; j < count; ++j, row += row_bytes, ++e) {
      Lanes16 values[kChunks];
      THAW_UNROLL
      for (int v = 0; v < kChunks; ++v) values[v] = Lanes16::load_f16(row + 32 * v);
      THAW_UNROLL
      for (int i = 0; i < kQueries; ++i) {
        const Lanes16 weight = Lanes16::set1(e[i * kSplitPositions]);
        THAW_UNROLL
        for (int v = 0; v < kChunks; ++v) acc[i][v] = fma(weight, values[v], acc[i][v]);
      }
    }
    from += count;
  }
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int v = 0; v < kChunks; ++v) acc[i][v].store(sums + i * sums_stride + 16 * v);
  }
}

template <int kQueries>
void weigh_tile(const std::byte* const* blocks, std::size_t values_at, std::size_t stride,
                std::size_t from, std::size_t to, const float* weights, float* sums,
                std::size_t sums_stride) {
  constexpr int kChunks = spread(kQueries);
  std::size_t chunk = 0;
  const std::size_t chunks = stride / 16;
  for (; chunk + kChunks <= chunks; chunk += kChunks) {
    weigh_chunks<kQueries, kChunks>(blocks, values_at + 32 * chunk, 2 * stride, from, to, weights,
                                    sums + 16 * chunk, sums_stride);
  }
  for (; chunk < chunks; ++chunk) {
    weigh_chunks<kQueries, 1>(blocks, values_at + 32 * chunk, 2 * stride, from, to, weights,
                              sums + 16 * chunk, sums_stride);
  }
}

// One split's positions that a query sees: [0, seen) of it.
THAW_INLINE std::size_t positions_seen(const Queries& queries, std::size_t query,
                                       std::uint32_t split) {
  const std::size_t last = queries.first_position + query / queries.heads;
  const std::size_t begin = std::size_t{split} * kSplitPositions;
  if (last < begin) return 0;
  return last - begin < kSplitPositions ? last - begin + 1 : kSplitPositions;
}

std::size_t attend_scratch_bytes(const KvShape& shape, std::size_t) {
  return kQueryTile * (kSplitPositions + (shape.key_dim + std::size_t{15}) / 16 * 16) *
         sizeof(float);
}

// Queries [first, first + kQueries), which all see something of the split.
template <int kQueries>
void attend_tile(const KvShape& shape, const Queries& queries, std::uint32_t split,
                 std::size_t first, float* partials, float* scratch) {
  float* weights = scratch;                                // [kQueries][512]
  float* scaled = scratch + kQueryTile * kSplitPositions;  // [key_dim][kQueries]
  for (int i = 0; i < kQueries; ++i) {
    const std::size_t query = first + i;
    const float* q =
        queries.q + query / queries.heads * queries.stride + query % queries.heads * shape.key_dim;
    for (std::size_t c = 0; c < shape.key_dim; ++c) scaled[c * kQueries + i] = q[c] * queries.scale;
  }
  const std::byte* const* blocks =
      queries.blocks + std::size_t{split} * (kSplitPositions / kKvBlockPositions);
  const std::size_t keys_at = std::size_t{2} * queries.kv_head * kKvBlockPositions * shape.key_dim;
  const std::size_t stride = shape.value_stride();
  const std::size_t values_at =
      shape.key_bytes() + 2 * queries.kv_head * kKvBlockPositions * stride;
  // Later queries see more: the first of the tile sees what is common to all.
  const std::size_t common = positions_seen(queries, first, split);
  const std::size_t most = positions_seen(queries, first + kQueries - 1, split);
  score_tile<kQueries>(blocks, keys_at, shape.key_dim, most, scaled, weights);

  const std::size_t partial = partial_floats(shape);
  float* out = partials + first * partial;
  for (int i = 0; i < kQueries; ++i) {
    float* to = out + i * partial;
    soften(weights + i * kSplitPositions, positions_seen(queries, first + i, split), to, to + 1);
    std::memset(to + 16, 0, stride * sizeof(float));
  }
  weigh_tile<kQueries>(blocks, values_at, stride, 0, common, weights, out + 16, partial);
  if (common == most) return;
  for (int i = 0; i < kQueries; ++i) {
    weigh_tile<1>(blocks, values_at, stride, common, positions_seen(queries, first + i, split),
                  weights + i * kSplitPositions, out + i * partial + 16, partial);
  }
}

template <int kQueries>
void attend_tile_of(std::size_t count, const KvShape& shape, const Queries& queries,
                    std::uint32_t split, std::size_t first, float* partials, float* scratch) {
  if (count == kQueries) {
    attend_tile<kQueries>(shape, queries, split, first, partials, scratch);
  } else if constexpr (kQueries > 1) {
    attend_tile_of<kQueries - 1>(count, shape, queries, split, first, partials, scratch);
  }
}

void attend_split(const KvShape& shape, const Queries& queries, std::uint32_t split,
                  float* partials, std::byte* scratch) {
  const std::size_t count = queries.count();
  std::size_t first = 0;
  while (first < count && positions_seen(queries, first, split) == 0) ++first;
  while (first < count) {
    const std::size_t tile = count - first < kQueryTile ? count - first : kQueryTile;
    attend_tile_of<kQueryTile>(tile, shape, queries, split, first, partials,
                               reinterpret_cast<float*>(scratch));
    first += tile;
  }
}

// The state (maximum, sum, `stride` of the values) takes in one more split; `at` is the first
// value.
inline void merge_piece(const float* split, std::size_t at, std::size_t stride, float* maximum,
                        float* sum, float* values) {
  const float top = split[0] > *maximum ? split[0] : *maximum;
  alignas(64) float factors[16] = {*maximum - top, split[0] - top};
  weight_lanes(Lanes16::load(factors)).store(factors);
  *sum = __builtin_fmaf(split[1], factors[1], *sum * factors[0]);
  const Lanes16 old_factor = Lanes16::set1(factors[0]), new_factor = Lanes16::set1(factors[1]);
  for (std::size_t c = 0; c < stride; c += 16) {
    const Lanes16 scaled = mul(Lanes16::load(values + c), old_factor);
    fma(Lanes16::load(split + 16 + at + c), new_factor, scaled).store(values + c);
  }
  *maximum = top;
}

// Values wider than this many floats are merged in pieces.
inline constexpr std::size_t kMergeFloats = 512;

void attend_merge(const KvShape& shape, const Queries& queries, const float* partials, float* y,
                  std::size_t y_stride) {
  const std::size_t partial = partial_floats(shape);
  const std::size_t split_floats = queries.count() * partial;
  alignas(64) float values[kMergeFloats];
  for (std::size_t query = 0; query < queries.count(); ++query) {
    const std::size_t last = queries.first_position + query / queries.heads;
    float* to = y + query / queries.heads * y_stride + query % queries.heads * shape.value_dim;
    for (std::size_t at = 0; at < shape.value_dim; at += kMergeFloats) {
      const std::size_t width =
          shape.value_dim - at < kMergeFloats ? shape.value_dim - at : kMergeFloats;
      const std::size_t stride = (width + 15) / 16 * 16;
      const float* from = partials + query * partial;
      float maximum = from[0], sum = from[1];
      std::memcpy(values, from + 16 + at, stride * sizeof(float));
      for (std::size_t split = 1; split <= last / kSplitPositions; ++split) {
        from += split_floats;
        merge_piece(from, at, stride, &maximum, &sum, values);
      }
      const Lanes16 factor = Lanes16::set1(1.0f / sum);
      for (std::size_t c = 0; c < width; c += 16) {
        const Lanes16 v = mul(Lanes16::load(values + c), factor);
        store_some(v, to + at + c, width - c < 16 ? width - c : 16);
      }
    }
  }
}
