// Matrix products: how panels, columns and tokens are walked. The set's products do the arithmetic;
// they provide, for quantised kinds:
//   kTokenBlock                    tokens of one packed block of an input of many tokens
//   kDirect                        tokens that are few: up to so many are one packed block
//   direct_panels(kind, tokens)    panels that multiply_panels takes of so many; kQ4 has the most
//   packed_group_bytes(tokens)     bytes of one packed group of a block of so many tokens
//   pack_group(x, group, tokens, token)       quantises 32 floats into their place in the group
//   kTilePanels                    panels that share the loads of activations
//   kExpandedGroup<kind>           bytes of an expanded group
//   expand_group<kind>(panel, g, to)          unpacks group g of a panel
//   scale_of, largest_of                      a group's scale (weights-inl.h), largest magnitude
//   multiply_expanded<kind, tokens>(weights, terms, sums)
//       adds onto sums [tokens][kTilePanels][16], term by term; weights: of each group one expanded
//       group for each of kTilePanels panels
//   multiply_panels<kind, tokens, panels>(where, terms, sums)
//       the same for panels as they lie, onto sums [panels][tokens][16]; tokens <= kDirect
//   kInPlaceTokens<kind>           tokens up to which more than kDirect are multiplied a block at a
//                                  time with the panel as it lies (0: none; else kTilePanels is 1)
//
// Few tokens: weights are streamed once and expanded in registers, in several streams side by side,
// each through panels that lie behind one another: the processor reads ahead in each stream, for as
// long as it goes on, and memory gives more to several than to one.
// Some more: a panel at a time, unpacked anew for each block of tokens, while it lies in the cache.
// Many: each panel's columns are expanded once, kBlockGroups groups at a time (so that they stay in
// the first-level cache), and reused for all tokens, whose sums wait in a tile.

inline constexpr std::size_t kFloatBlock = 256;  // expanded columns of float kinds: 16 KiB
inline constexpr std::size_t kTileTokens = 512;  // their sums: 32 KiB for each of kTilePanels
inline constexpr std::size_t kExpandedBytes = kBlockGroups * kTilePanels * 704;  // 704: the largest
static_assert(kTileTokens % kTokenBlock == 0);
static_assert(kExpandedBytes >= kFloatBlock * kPanelRows * sizeof(float));

std::size_t tile_panels(std::size_t tokens) {
  return tokens <= kDirect ? direct_panels(Kind::kQ4, tokens) : kTilePanels;
}

std::size_t scratch_bytes(Kind, std::size_t, std::size_t tokens) {
  const std::size_t tile = tokens < kTileTokens ? tokens : kTileTokens;
  return kExpandedBytes + tile * kTilePanels * kPanelRows * sizeof(float);
}

// Writes sums, plus 0, into the rows of panel `panel`; rows past the matrix's are left out.
//   sums  [16] of each token, `stride` floats apart
[[gnu::noinline]] inline void write_rows(const Matrix& w, std::size_t panel, const float* sums,
                                         std::size_t stride, std::size_t tokens, float* y,
                                         std::size_t y_stride) {
  const std::size_t row = panel * kPanelRows;
  float* to = y + row;
  const Lanes16 zero = Lanes16::zero();
  for (std::size_t t = 0; t < tokens; ++t) {
    const Lanes16 sum = add(Lanes16::load(sums + stride * t), zero);
    if (w.rows - row >= kPanelRows) {
      sum.store(to + t * y_stride);
    } else {
      alignas(64) float some[kPanelRows];
      sum.store(some);
      std::memcpy(to + t * y_stride, some, (w.rows - row) * sizeof(float));
    }
  }
}

// --- quantised kinds ---

// Adds some terms of a packed block of `tokens` tokens.
template <Kind kKind, int kTokens>
void multiply_block(std::size_t tokens, const std::byte* weights, const Terms& terms, float* sums) {
  if (tokens == kTokens) {
    multiply_expanded<kKind, kTokens>(weights, terms, sums);
  } else if constexpr (kTokens > 1) {
    multiply_block<kKind, kTokens - 1>(tokens, weights, terms, sums);
  }
}

// The same, weights unpacked anew for each block of tokens. One panel.
template <Kind kKind, int kTokens>
void multiply_in_place(std::size_t tokens, const std::byte* panel, const Terms& terms,
                       float* sums) {
  if (tokens == kTokens) {
    multiply_panels<kKind, kTokens, 1>(&panel, terms, sums);
  } else if constexpr (kTokens > 1) {
    multiply_in_place<kKind, kTokens - 1>(tokens, panel, terms, sums);
  }
}

// Some tokens against up to kTilePanels panels.
struct Tile {
  const Matrix& w;
  const Activations& in;
  std::size_t panel;   // the first
  std::size_t panels;  // how many
  std::size_t first;   // token, a multiple of kTokenBlock
  std::size_t tokens;  // at most kTileTokens
  float* y;            // of token `first`
  std::size_t y_stride;
  float* sums;  // [tokens][kTilePanels][16]
  std::byte* expanded;
};

// Asks for weights ahead of their use, a few lines at a time: the next run of each panel, or after
// the last run the first one of the panels that follow.
template <Kind kKind>
struct Prefetcher {
  static constexpr std::size_t kRunBytes =
      kBlockGroups * Layout<kKind>::kBlock / Layout<kKind>::kGroups;
  static constexpr std::size_t kLines = (kRunBytes + 63) / 64;

  const char* from[kTilePanels];
  std::size_t line = 0;

  THAW_INLINE void ask(std::size_t lines) {
    for (; lines > 0 && line < kLines * kTilePanels; --lines, ++line) {
      __builtin_prefetch(from[line / kLines] + line % kLines * 64, 0, 2);
    }
  }
};

// Groups [g, g + count) of each panel.
template <Kind kKind>
[[gnu::noinline]] void expand_run(const std::byte* const (&panels)[kTilePanels], std::size_t g,
                                  std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::byte* panel : panels) {
      expand_group<kKind>(panel, g + i, to);
      to += kExpandedGroup<kKind>;
    }
  }
}

template <Kind kKind>
void multiply_tile(const Tile& tile) {
  const PackedShape shape = {tile.in.cols / kGroupCols, tile.in.refined};
  const std::size_t panel_bytes = shape.groups / Layout<kKind>::kGroups * Layout<kKind>::kBlock;
  const std::byte* panels[kTilePanels];
  for (std::size_t p = 0; p < kTilePanels; ++p) {  // past the end: the last one, not written
    panels[p] =
        tile.w.panels + (tile.panel + (p < tile.panels ? p : tile.panels - 1)) * panel_bytes;
  }
  constexpr std::size_t kSums = kTilePanels * kPanelRows;  // of one token
  const std::size_t blocks = (tile.tokens + kTokenBlock - 1) / kTokenBlock;
  const std::size_t lines = (Prefetcher<kKind>::kLines * kTilePanels + blocks - 1) / blocks;
  static_assert(kInPlaceTokens<kKind> == 0 || (kTilePanels == 1 && kTokenBlock <= kDirect));
  const bool in_place = tile.in.tokens <= kInPlaceTokens<kKind>;
  for (std::size_t run = 0; run < shape.runs(); ++run) {
    const std::size_t g = run * kBlockGroups;
    const std::size_t count = shape.groups - g < kBlockGroups ? shape.groups - g : kBlockGroups;
    const bool last = run + 1 == shape.runs();
    Prefetcher<kKind> ahead;
    for (std::size_t p = 0; p < kTilePanels; ++p) {
      ahead.from[p] = reinterpret_cast<const char*>(last ? panels[p] + kTilePanels * panel_bytes
                                                         : codes_of<kKind>(panels[p], g + count));
    }
    if (!in_place) expand_run<kKind>(panels, g, count, tile.expanded);
    for (std::size_t t = 0; t < tile.tokens; t += kTokenBlock) {
      const std::size_t size = tile.tokens - t < kTokenBlock ? tile.tokens - t : kTokenBlock;
      const std::byte* at =
          tile.in.packed + (tile.first + t) / kTokenBlock * shape.block_bytes(kTokenBlock);
      const PackedBlock block = PackedBlock::at(at, shape, size);
      const std::size_t begin = block.first[run], end = block.first[run + 1];
      const Terms terms = {block.group + begin, end - begin, in_place ? 0 : g,
                           block.terms + begin * packed_group_bytes(size)};
      float* sums = tile.sums + t * kSums;
      if (run == 0) std::memset(sums, 0, size * kSums * sizeof(float));
      if constexpr (kInPlaceTokens<kKind> > 0) {
        if (in_place) {
          multiply_in_place<kKind, static_cast<int>(kTokenBlock)>(size, panels[0], terms, sums);
        }
      }
      if (!in_place) {
        multiply_block<kKind, static_cast<int>(kTokenBlock)>(size, tile.expanded, terms, sums);
        ahead.ask(lines);
      }
      for (std::size_t p = 0; last && p < tile.panels; ++p) {
        write_rows(tile.w, tile.panel + p, sums + p * kPanelRows, kSums, size,
                   tile.y + t * tile.y_stride, tile.y_stride);
      }
    }
  }
}

// kPanels panels, the first one `panel`, `apart` panels from one to the next, for all of up to
// kDirect tokens.
template <Kind kKind, int kTokens, int kPanels>
void multiply_streams(const Matrix& w, std::size_t panel, std::size_t apart, const Activations& in,
                      float* y, std::size_t y_stride) {
  const std::size_t panel_bytes =
      w.cols / kGroupCols / Layout<kKind>::kGroups * Layout<kKind>::kBlock;
  const PackedShape shape = {in.cols / kGroupCols, in.refined};
  const PackedBlock block = PackedBlock::at(in.packed, shape, kTokens);
  const Terms terms = {block.group, block.first[shape.runs()], 0, block.terms};
  const std::byte* panels[kPanels];
  for (int p = 0; p < kPanels; ++p) panels[p] = w.panels + (panel + p * apart) * panel_bytes;
  alignas(64) float sums[kTokens * kPanels * kPanelRows] = {};
  multiply_panels<kKind, kTokens, kPanels>(panels, terms, sums);
  for (int p = 0; p < kPanels; ++p) {
    write_rows(w, panel + p * apart, sums + p * kTokens * kPanelRows, kPanelRows, kTokens, y,
               y_stride);
  }
}

// As many streams as kPanels; the panels that are left over by half as many.
template <Kind kKind, int kTokens, int kPanels>
void multiply_few_panels(const Matrix& w, std::size_t panel, std::size_t panel_end,
                         const Activations& in, float* y, std::size_t y_stride) {
  const std::size_t apart = (panel_end - panel) / kPanels;
  for (std::size_t i = 0; i < apart; ++i) {
    multiply_streams<kKind, kTokens, kPanels>(w, panel + i, apart, in, y, y_stride);
  }
  panel += apart * kPanels;
  if constexpr (kPanels > 1) {
    multiply_few_panels<kKind, kTokens, kPanels / 2>(w, panel, panel_end, in, y, y_stride);
  }
}

template <Kind kKind, int kTokens>
void multiply_few(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                  const Activations& in, float* y, std::size_t y_stride) {
  if (in.tokens == kTokens) {
    multiply_few_panels<kKind, kTokens, static_cast<int>(direct_panels(kKind, kTokens))>(
        w, panel_begin, panel_end, in, y, y_stride);
  } else if constexpr (kTokens > 1) {
    multiply_few<kKind, kTokens - 1>(w, panel_begin, panel_end, in, y, y_stride);
  }
}

template <Kind kKind>
void multiply_quantised(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                        const Activations& in, float* y, std::size_t y_stride, std::byte* scratch) {
  if (in.tokens <= kDirect) {
    multiply_few<kKind, static_cast<int>(kDirect)>(w, panel_begin, panel_end, in, y, y_stride);
    return;
  }
  float* sums = reinterpret_cast<float*>(scratch + kExpandedBytes);
  for (std::size_t first = 0; first < in.tokens; first += kTileTokens) {
    const std::size_t tokens = in.tokens - first < kTileTokens ? in.tokens - first : kTileTokens;
    for (std::size_t panel = panel_begin; panel < panel_end; panel += kTilePanels) {
      const std::size_t panels = panel_end - panel < kTilePanels ? panel_end - panel : kTilePanels;
      multiply_tile<kKind>(
          {w, in, panel, panels, first, tokens, y + first * y_stride, y_stride, sums, scratch});
    }
  }
}

// --- float kinds ---

template <Kind kKind>
inline constexpr std::size_t kFloatLine = kKind == Kind::kF32 ? 64 : 32;  // bytes: 16 rows, one k

template <Kind kKind>
THAW_INLINE Lanes16 load_floats(const std::byte* from) {
  if constexpr (kKind == Kind::kF32) return Lanes16::load(reinterpret_cast<const float*>(from));
  if constexpr (kKind == Kind::kF16) return Lanes16::load_f16(from);
  if constexpr (kKind == Kind::kBf16) return Lanes16::load_bf16(from);
}

// sums[t][p][16] += k columns of kPanels panels, `panel_bytes` apart, with kTokens tokens.
template <Kind kKind, int kTokens, int kPanels>
THAW_INLINE void multiply_floats(const std::byte* weights, std::size_t panel_bytes, const float* x,
                                 std::size_t stride, std::size_t count, float* sums) {
  Lanes16 acc[kTokens][kPanels];
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) acc[t][p] = Lanes16::load(sums + 16 * (t * kPanels + p));
  }
  for (std::size_t k = 0; k < count; ++k, weights += kFloatLine<kKind>) {
    Lanes16 w[kPanels];
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) w[p] = load_floats<kKind>(weights + p * panel_bytes);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const Lanes16 value = Lanes16::set1(x[t * stride + k]);
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) acc[t][p] = fma(w[p], value, acc[t][p]);
    }
  }
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) acc[t][p].store(sums + 16 * (t * kPanels + p));
  }
}

// kPanels panels from `panel` on against all of kTokens tokens, streaming the weights once.
template <Kind kKind, int kTokens, int kPanels>
inline void multiply_float_panels(const Matrix& w, std::size_t panel, const Activations& in,
                                  float* y, std::size_t y_stride) {
  const std::size_t panel_bytes = w.cols * kFloatLine<kKind>;
  alignas(64) float sums[kTokens * kPanels * kPanelRows] = {};
  multiply_floats<kKind, kTokens, kPanels>(w.panels + panel * panel_bytes, panel_bytes, in.x,
                                           in.stride, w.cols, sums);
  for (int p = 0; p < kPanels; ++p) {
    for (int t = 0; t < kTokens; ++t) {
      write_rows(w, panel + p, sums + 16 * (t * kPanels + p), 0, 1, y + t * y_stride, y_stride);
    }
  }
}

// As many panels at once as keep enough sums in flight.
template <Kind kKind, int kTokens>
void multiply_few_floats(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                         const Activations& in, float* y, std::size_t y_stride) {
  if (in.tokens == kTokens) {
    constexpr int kPanels = spread(kTokens);
    std::size_t panel = panel_begin;
    for (; panel + kPanels <= panel_end; panel += kPanels) {
      multiply_float_panels<kKind, kTokens, kPanels>(w, panel, in, y, y_stride);
    }
    for (; panel < panel_end; ++panel) {
      multiply_float_panels<kKind, kTokens, 1>(w, panel, in, y, y_stride);
    }
  } else if constexpr (kTokens > 1) {
    multiply_few_floats<kKind, kTokens - 1>(w, panel_begin, panel_end, in, y, y_stride);
  }
}

template <int kTokens>
void multiply_float_block(std::size_t tokens, const std::byte* weights, const float* x,
                          std::size_t stride, std::size_t count, float* sums) {
  if (tokens == kTokens) {
    multiply_floats<Kind::kF32, kTokens, 1>(weights, 0, x, stride, count, sums);
  } else if constexpr (kTokens > 1) {
    multiply_float_block<kTokens - 1>(tokens, weights, x, stride, count, sums);
  }
}

template <Kind kKind>
void multiply_float_tile(const std::byte* panel, const Activations& in, std::size_t first,
                         std::size_t tokens, float* sums, float* expanded) {
  for (std::size_t k = 0; k < in.cols; k += kFloatBlock) {
    const std::size_t count = in.cols - k < kFloatBlock ? in.cols - k : kFloatBlock;
    for (std::size_t i = 0; i < count; ++i) {
      load_floats<kKind>(panel + (k + i) * kFloatLine<kKind>).store(expanded + 16 * i);
    }
    for (std::size_t t = 0; t < tokens; t += kFloatColumns) {
      const std::size_t block = tokens - t < kFloatColumns ? tokens - t : kFloatColumns;
      multiply_float_block<static_cast<int>(kFloatColumns)>(
          block, reinterpret_cast<const std::byte*>(expanded), in.x + (first + t) * in.stride + k,
          in.stride, count, sums + 16 * t);
    }
  }
}

template <Kind kKind>
void multiply_float_kind(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                         const Activations& in, float* y, std::size_t y_stride,
                         std::byte* scratch) {
  if (in.tokens <= kDirectFloat) {
    multiply_few_floats<kKind, static_cast<int>(kDirectFloat)>(w, panel_begin, panel_end, in, y,
                                                               y_stride);
    return;
  }
  const std::size_t panel_bytes = w.cols * kFloatLine<kKind>;
  float* sums = reinterpret_cast<float*>(scratch + kExpandedBytes);
  for (std::size_t first = 0; first < in.tokens; first += kTileTokens) {
    const std::size_t tokens = in.tokens - first < kTileTokens ? in.tokens - first : kTileTokens;
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      std::memset(sums, 0, tokens * kPanelRows * sizeof(float));
      multiply_float_tile<kKind>(w.panels + panel * panel_bytes, in, first, tokens, sums,
                                 reinterpret_cast<float*>(scratch));
      write_rows(w, panel, sums, kPanelRows, tokens, y + first * y_stride, y_stride);
    }
  }
}

void matmul(const Matrix& w, std::size_t panel_begin, std::size_t panel_end, const Activations& in,
            float* y, std::size_t y_stride, std::byte* scratch) {
#define THAW_CASE(kind, function) \
  case Kind::kind: return function<Kind::kind>(w, panel_begin, panel_end, in, y, y_stride, scratch)
  switch (w.kind) {
    THAW_CASE(kF32, multiply_float_kind);
    THAW_CASE(kF16, multiply_float_kind);
    THAW_CASE(kBf16, multiply_float_kind);
    THAW_CASE(kQ8, multiply_quantised);
    THAW_CASE(kQ4, multiply_quantised);
    THAW_CASE(kQ4m, multiply_quantised);
    THAW_CASE(kQ4k, multiply_quantised);
    THAW_CASE(kQ5k, multiply_quantised);
    THAW_CASE(kQ6k, multiply_quantised);
  }
#undef THAW_CASE
}
