// Attention over one split, and the merge of splits: ARITHMETIC.md, "attention". Included inside a
// set's target region, after vectors-inl.h.
//
// Queries are taken in tiles of up to kQueryTile. With fewer queries a tile takes several panels
// (or channels) at once instead, so that there are always enough independent sums to hide an fma's
// latency. Several tiles go block by block and share the widening of keys and values from f16.

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

THAW_INLINE void ask(const std::byte* at) { __builtin_prefetch(at); }

// scores[i * 512 + 16 * p + lane] of kQueries queries against kPanels panels of keys.
//   keys   [kPanels][key_dim][16]
//   q      [key_dim][kQueries], scaled
//   ahead  what is read next: as many bytes from here on are asked for as the keys take in f16
template <int kQueries, int kPanels>
THAW_INLINE void score_panels(const std::byte* keys, std::size_t key_dim, const float* q,
                              const std::byte* ahead, float* scores) {
  Lanes16 sums[kQueries][kPanels];
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[i][p] = Lanes16::zero();
  }
  for (std::size_t c = 0; c < key_dim; ++c, keys += 32, q += kQueries, ahead += 32 * kPanels) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; p += 2) ask(ahead + 32 * p);
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

// Scores of the first `panels` panels of one block.
template <int kQueries>
THAW_INLINE void score_block(const std::byte* keys, std::size_t key_dim, std::size_t panels,
                             const float* q, const std::byte* ahead, float* scores) {
  constexpr std::size_t kPanels = spread(kQueries);
  std::size_t panel = 0;
  for (; panel + kPanels <= panels; panel += kPanels) {
    score_panels<kQueries, kPanels>(keys + panel * key_dim * 32, key_dim, q,
                                    ahead + panel * key_dim * 32, scores + 16 * panel);
  }
  for (; panel < panels; ++panel) {
    score_panels<kQueries, 1>(keys + panel * key_dim * 32, key_dim, q, ahead + panel * key_dim * 32,
                              scores + 16 * panel);
  }
}

// exp(x) for x <= 0, but +0 where x < -64; where x is NaN, NaN. For positive x anything. In this
// range exp's last two multiplications are exact, so moving the exponent gives the same bits.
THAW_INLINE Lanes16 weight_lanes(Lanes16 x) {
  Lanes16 n;
  const Lanes16 p = exp_fraction(x, n);
  return zero_below(x, -64.0f, move_exponent(p, n));
}

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

// Adds `count` positions of one block, weighted, onto kChunks * 16 channels of kQueries queries.
//   row      the first position's values, the first of these channels; rows row_bytes apart
//   weights  the first position's, of query i at weights + i * 512
//   ahead    what is read next, in such rows
//   sums     of query i at sums + i * sums_stride
template <int kQueries, int kChunks>
THAW_INLINE void weigh_chunks(const std::byte* row, std::size_t row_bytes, std::size_t count,
                              const float* weights, const std::byte* ahead, float* sums,
                              std::size_t sums_stride) {
  Lanes16 acc[kQueries][kChunks];
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int v = 0; v < kChunks; ++v) acc[i][v] = Lanes16::load(sums + i * sums_stride + 16 * v);
  }
  for (std::size_t j = 0; j < count; ++j, row += row_bytes, ++weights, ahead += row_bytes) {
    THAW_UNROLL
    for (int v = 0; v < kChunks; v += 2) ask(ahead + 32 * v);
    Lanes16 values[kChunks];
    THAW_UNROLL
    for (int v = 0; v < kChunks; ++v) values[v] = Lanes16::load_f16(row + 32 * v);
    THAW_UNROLL
    for (int i = 0; i < kQueries; ++i) {
      const Lanes16 weight = Lanes16::set1(weights[i * kSplitPositions]);
      THAW_UNROLL
      for (int v = 0; v < kChunks; ++v) acc[i][v] = fma(weight, values[v], acc[i][v]);
    }
  }
  THAW_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    THAW_UNROLL
    for (int v = 0; v < kChunks; ++v) acc[i][v].store(sums + i * sums_stride + 16 * v);
  }
}

// The same for all `stride` channels.
template <int kQueries>
THAW_INLINE void weigh_block(const std::byte* rows, std::size_t stride, std::size_t count,
                             const float* weights, const std::byte* ahead, float* sums,
                             std::size_t sums_stride) {
  constexpr std::size_t kChunks = spread(kQueries);
  const std::size_t chunks = stride / 16, row_bytes = chunks * 32;
  std::size_t chunk = 0;
  for (; chunk + kChunks <= chunks; chunk += kChunks) {
    weigh_chunks<kQueries, kChunks>(rows + 32 * chunk, row_bytes, count, weights,
                                    ahead + 32 * chunk, sums + 16 * chunk, sums_stride);
  }
  for (; chunk < chunks; ++chunk) {
    weigh_chunks<kQueries, 1>(rows + 32 * chunk, row_bytes, count, weights, ahead + 32 * chunk,
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

// Keys and values of one kv head in a split's blocks.
struct Split {
  const std::byte* const* blocks;
  std::size_t keys_at, values_at;  // bytes from a block's start
  std::size_t key_dim, stride;

  static Split of(const KvShape& shape, const Queries& queries, std::uint32_t split) {
    const std::size_t first = std::size_t{queries.kv_head} * kKvBlockPositions;
    return {queries.blocks + std::size_t{split} * (kSplitPositions / kKvBlockPositions),
            2 * first * shape.key_dim, shape.key_bytes() + 2 * first * shape.value_stride(),
            shape.key_dim, shape.value_stride()};
  }
  const std::byte* keys(std::size_t block) const { return blocks[block] + keys_at; }
  const std::byte* values(std::size_t block) const { return blocks[block] + values_at; }
};

constexpr std::size_t blocks_of(std::size_t positions) {
  return (positions + kKvBlockPositions - 1) / kKvBlockPositions;
}
// Of the first `positions` of a split, how many lie in a block.
constexpr std::size_t positions_in(std::size_t block, std::size_t positions) {
  const std::size_t begin = block * kKvBlockPositions;
  return positions <= begin                      ? 0
         : positions - begin < kKvBlockPositions ? positions - begin
                                                 : kKvBlockPositions;
}
constexpr std::size_t panels_in(std::size_t block, std::size_t positions) {
  return (positions_in(block, positions) + 15) / 16;
}

// Of one tile: weights [query][512], scaled queries [key_dim][query].
std::size_t attend_scratch_bytes(const KvShape& shape, std::size_t) {
  return kQueryTile * (kSplitPositions + (shape.key_dim + std::size_t{15}) / 16 * 16) *
         sizeof(float);
}

template <int kQueries>
void scale_queries(const KvShape& shape, const Queries& queries, std::size_t first, float* scaled) {
  for (int i = 0; i < kQueries; ++i) {
    const std::size_t query = first + i;
    const float* q =
        queries.q + query / queries.heads * queries.stride + query % queries.heads * shape.key_dim;
    for (std::size_t c = 0; c < shape.key_dim; ++c) scaled[c * kQueries + i] = q[c] * queries.scale;
  }
}

// Softens the scores of queries [first, first + kQueries) and clears their sums.
template <int kQueries>
void soften_tile(const Queries& queries, std::uint32_t split, std::size_t first, std::size_t stride,
                 float* weights, float* out, std::size_t partial) {
  for (int i = 0; i < kQueries; ++i) {
    float* to = out + i * partial;
    soften(weights + i * kSplitPositions, positions_seen(queries, first + i, split), to, to + 1);
    std::memset(to + 16, 0, stride * sizeof(float));
  }
}

// Later queries of a tile see more than the first: what lies past `common`, each by itself.
template <int kQueries>
void weigh_rest(const Split& at, const Queries& queries, std::uint32_t split, std::size_t first,
                std::size_t common, const float* weights, float* out, std::size_t partial) {
  for (int i = 0; i < kQueries; ++i) {
    const std::size_t seen = positions_seen(queries, first + i, split);
    for (std::size_t from = common; from < seen;) {
      const std::size_t block = from / kKvBlockPositions, place = from % kKvBlockPositions;
      const std::size_t count = positions_in(block, seen) - place;
      const std::byte* row = at.values(block) + 2 * place * at.stride;
      weigh_block<1>(row, at.stride, count, weights + i * kSplitPositions + from, row,
                     out + i * partial + 16, partial);
      from += count;
    }
  }
}

// Queries [first, first + kQueries), which all see something of the split.
template <int kQueries>
void attend_tile(const KvShape& shape, const Queries& queries, std::uint32_t split,
                 std::size_t first, float* partials, float* scratch) {
  float* weights = scratch;
  float* scaled = scratch + kQueryTile * kSplitPositions;
  const Split at = Split::of(shape, queries, split);
  const std::size_t common = positions_seen(queries, first, split);
  const std::size_t most = positions_seen(queries, first + kQueries - 1, split);
  scale_queries<kQueries>(shape, queries, first, scaled);
  for (std::size_t b = 0; b < blocks_of(most); ++b) {
    const std::byte* ahead = b + 1 < blocks_of(most) ? at.keys(b + 1) : at.values(0);
    score_block<kQueries>(at.keys(b), at.key_dim, panels_in(b, most), scaled, ahead,
                          weights + b * kKvBlockPositions);
  }
  const std::size_t partial = partial_floats(shape);
  float* out = partials + first * partial;
  soften_tile<kQueries>(queries, split, first, at.stride, weights, out, partial);
  for (std::size_t b = 0; b < blocks_of(common); ++b) {
    const std::byte* ahead = b + 1 < blocks_of(common) ? at.values(b + 1) : at.values(b);
    weigh_block<kQueries>(at.values(b), at.stride, positions_in(b, common),
                          weights + b * kKvBlockPositions, ahead, out + 16, partial);
  }
  weigh_rest<kQueries>(at, queries, split, first, common, weights, out, partial);
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
