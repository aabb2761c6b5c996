// Matrix products: how panels, columns and tokens are walked. The set's products do the arithmetic;
// they provide, for quantised kinds:
//   kTokenBlock                    tokens of one packed block
//   packed_group_bytes(tokens)     bytes of one packed group of a block of so many tokens
//   pack_group(x, group, tokens, token)       quantises 32 floats into their place in the group
//   kExpandedGroup<kind>           bytes of an expanded group
//   expand_group<kind>(panel, g, to)          unpacks group g of a panel
//   multiply_expanded<kind, tokens>(weights, x, groups, sums)
//   multiply_panel<kind, tokens>(panel, x, groups, sums)      without expanding; tokens <= kDirect
// where `sums` [tokens][16] is added onto, groups ascending.
//
// Few tokens: weights are streamed once and expanded in registers. More: each panel's columns are
// expanded once, kBlockGroups groups at a time (so that they stay in the first-level cache), and
// reused for all tokens, whose sums wait in a tile.

inline constexpr std::size_t kBlockGroups = 32;  // expanded groups: about 20 KiB
inline constexpr std::size_t kFloatBlock = 256;  // expanded columns of float kinds: 16 KiB
inline constexpr std::size_t kTileTokens = 384;  // a multiple of every kTokenBlock; 24 KiB
inline constexpr std::size_t kExpandedBytes = kBlockGroups * 704;  // 704: the largest group
static_assert(kTileTokens % kTokenBlock == 0 && kDirect <= kTokenBlock);
static_assert(kExpandedBytes >= kFloatBlock * kPanelRows * sizeof(float));

std::size_t scratch_bytes(Kind, std::size_t, std::size_t tokens) {
  const std::size_t tile = tokens < kTileTokens ? tokens : kTileTokens;
  return kExpandedBytes + tile * kPanelRows * sizeof(float);
}

std::size_t packed_bytes(std::size_t tokens, std::size_t cols) {
  const std::size_t whole = tokens / kTokenBlock * packed_group_bytes(kTokenBlock);
  const std::size_t rest = tokens % kTokenBlock;
  return (whole + (rest == 0 ? 0 : packed_group_bytes(rest))) * (cols / kGroupCols);
}

void pack(const Activations& in, std::size_t block_begin, std::size_t block_end,
          std::byte* packed) {
  const std::size_t groups = in.cols / kGroupCols;
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::size_t first = block * kTokenBlock;
    const std::size_t tokens = in.tokens - first < kTokenBlock ? in.tokens - first : kTokenBlock;
    const std::size_t group_bytes = packed_group_bytes(tokens);
    std::byte* to = packed + block * groups * packed_group_bytes(kTokenBlock);
    for (std::size_t token = 0; token < tokens; ++token) {
      const float* x = in.x + (first + token) * in.stride;
      for (std::size_t g = 0; g < groups; ++g) {
        pack_group(x + g * kGroupCols, to + g * group_bytes, tokens, token);
      }
    }
  }
}

// Copies sums [tokens][16] into the rows of panel `panel`; rows past the matrix's are left out.
inline void write_rows(const Matrix& w, std::size_t panel, const float* sums, std::size_t tokens,
                       float* y, std::size_t y_stride) {
  const std::size_t row = panel * kPanelRows;
  float* to = y + row;
  if (w.rows - row >= kPanelRows) {
    for (std::size_t t = 0; t < tokens; ++t) Lanes16::load(sums + 16 * t).store(to + t * y_stride);
  } else {
    for (std::size_t t = 0; t < tokens; ++t) {
      std::memcpy(to + t * y_stride, sums + 16 * t, (w.rows - row) * sizeof(float));
    }
  }
}

// --- quantised kinds ---

// Adds one packed block of `tokens` tokens, `groups` of its groups.
template <Kind kKind, int kTokens>
void multiply_block(std::size_t tokens, const std::byte* weights, const std::byte* x,
                    std::size_t groups, float* sums) {
  if (tokens == kTokens) {
    multiply_expanded<kKind, kTokens>(weights, x, groups, sums);
  } else if constexpr (kTokens > 1) {
    multiply_block<kKind, kTokens - 1>(tokens, weights, x, groups, sums);
  }
}

// Tokens [first, first + tokens) against one panel; first is a multiple of kTokenBlock.
template <Kind kKind>
void multiply_tile(const std::byte* panel, const Activations& in, std::size_t first,
                   std::size_t tokens, float* sums, std::byte* expanded) {
  const std::size_t groups = in.cols / kGroupCols;
  for (std::size_t g = 0; g < groups; g += kBlockGroups) {
    const std::size_t count = groups - g < kBlockGroups ? groups - g : kBlockGroups;
    for (std::size_t i = 0; i < count; ++i) {
      expand_group<kKind>(panel, g + i, expanded + i * kExpandedGroup<kKind>);
    }
    for (std::size_t t = 0; t < tokens; t += kTokenBlock) {
      const std::size_t block = tokens - t < kTokenBlock ? tokens - t : kTokenBlock;
      const std::byte* x = in.packed +
                           (first + t) / kTokenBlock * groups * packed_group_bytes(kTokenBlock) +
                           g * packed_group_bytes(block);
      multiply_block<kKind, static_cast<int>(kTokenBlock)>(block, expanded, x, count,
                                                           sums + 16 * t);
    }
  }
}

template <Kind kKind, int kTokens>
void multiply_few(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                  const Activations& in, float* y, std::size_t y_stride) {
  if (in.tokens == kTokens) {
    const std::size_t panel_bytes =
        w.cols / kGroupCols / Layout<kKind>::kGroups * Layout<kKind>::kBlock;
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      alignas(64) float sums[kTokens * kPanelRows] = {};
      multiply_panel<kKind, kTokens>(w.panels + panel * panel_bytes, in.packed, w.cols / kGroupCols,
                                     sums);
      write_rows(w, panel, sums, kTokens, y, y_stride);
    }
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
  const std::size_t panel_bytes =
      w.cols / kGroupCols / Layout<kKind>::kGroups * Layout<kKind>::kBlock;
  float* sums = reinterpret_cast<float*>(scratch + kExpandedBytes);
  for (std::size_t first = 0; first < in.tokens; first += kTileTokens) {
    const std::size_t tokens = in.tokens - first < kTileTokens ? in.tokens - first : kTileTokens;
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      std::memset(sums, 0, tokens * kPanelRows * sizeof(float));
      multiply_tile<kKind>(w.panels + panel * panel_bytes, in, first, tokens, sums, scratch);
      write_rows(w, panel, sums, tokens, y + first * y_stride, y_stride);
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
      write_rows(w, panel + p, sums + 16 * (t * kPanels + p), 1, y + t * y_stride, y_stride);
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
      write_rows(w, panel, sums, tokens, y + first * y_stride, y_stride);
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
