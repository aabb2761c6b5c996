// Quantised matrix products of NEON, around sdot (four s8 products into 32 bits) and, where the
// including source sets kMatrixProducts, smmla for more than a few tokens (2 rows by 2 tokens,
// eight columns at once). All operands are signed: q6k goes in as v - 32.
//
// A packed group of C tokens, C rounded up to even: for each pair of steps and each pair of tokens
// s8 [2 tokens][2 steps][4], which is what smmla reads, and of which sdot takes dwords by lane;
// then per token the scale s, then g (s times the sum of q).
inline constexpr std::size_t kTokenBlock = 4;
inline constexpr std::size_t kTilePanels = 1;
inline constexpr std::size_t kDirect = 4;  // tokens up to which weights expand in registers
constexpr std::size_t direct_panels(Kind, std::size_t tokens) { return tokens <= 2 ? 4 : 1; }
template <Kind kKind>
inline constexpr std::size_t kInPlaceTokens = 0;  // several panels share activations instead
inline constexpr std::size_t kDirectFloat = 4;

constexpr std::size_t even(std::size_t tokens) { return (tokens + 1) / 2 * 2; }
constexpr std::size_t packed_group_bytes(std::size_t tokens) { return 40 * even(tokens); }

THAW_INLINE uint8x16_t load_u8(const std::byte* from) {
  return vld1q_u8(reinterpret_cast<const uint8_t*>(from));
}
THAW_INLINE int8x16_t load_s8(const std::byte* from) {
  return vld1q_s8(reinterpret_cast<const int8_t*>(from));
}

// Six-bit sub-scales and sub-minima of sixteen rows (kind.h, "sub").
THAW_INLINE void sub_scales(const std::byte* low, const std::byte* high, bool even_group,
                            Lanes16& scale, Lanes16& minimum) {
  const uint8x16_t four = vdupq_n_u8(0x0f), two = vdupq_n_u8(0x30);
  const uint8x16_t l = load_u8(low);
  uint8x16_t h = load_u8(high);
  h = even_group ? vshlq_n_u8(h, 4) : h;  // bits 4..5 for the scale, 6..7 for the minimum
  scale = Lanes16::widen_u8(vorrq_u8(vandq_u8(l, four), vandq_u8(h, two)));
  minimum = Lanes16::widen_u8(vorrq_u8(vshrq_n_u8(l, 4), vandq_u8(vshrq_n_u8(h, 2), two)));
}

#include "kernels/weights-inl.h"

// --- activations ---

// The largest of |x| over 32 floats, as bits.
THAW_INLINE std::uint32_t largest_bits(const Lanes16& a, const Lanes16& b) {
  uint32x4_t top = vdupq_n_u32(0);
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    top = vmaxq_u32(top, vreinterpretq_u32_f32(vabsq_f32(a.v[i])));
    top = vmaxq_u32(top, vreinterpretq_u32_f32(vabsq_f32(b.v[i])));
  }
  return vmaxvq_u32(top);
}

// rint(x * r) of sixteen floats as s8: four steps.
THAW_INLINE int8x16_t quantise(const Lanes16& x, float r) {
  int16x4_t words[4];
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) words[i] = vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(x.v[i], r)));
  return vcombine_s8(vmovn_s16(vcombine_s16(words[0], words[1])),
                     vmovn_s16(vcombine_s16(words[2], words[3])));
}

// Writes one token's place in a packed group of `tokens` (even).
//   q  s8 [8 steps][4]
THAW_INLINE void place_token(int8x16_t first, int8x16_t second, float s, float g, std::byte* group,
                             std::size_t tokens, std::size_t token) {
  std::byte* to = group + token / 2 * 16 + token % 2 * 8;
  const std::size_t pair_bytes = 8 * tokens;
  vst1_s8(reinterpret_cast<int8_t*>(to), vget_low_s8(first));
  vst1_s8(reinterpret_cast<int8_t*>(to + pair_bytes), vget_high_s8(first));
  vst1_s8(reinterpret_cast<int8_t*>(to + 2 * pair_bytes), vget_low_s8(second));
  vst1_s8(reinterpret_cast<int8_t*>(to + 3 * pair_bytes), vget_high_s8(second));
  thaw::store(group + 32 * tokens + 4 * token, s);
  thaw::store(group + 36 * tokens + 4 * token, g);
}

THAW_INLINE std::uint32_t largest_of(const float* x) {
  return largest_bits(Lanes16::load(x), Lanes16::load(x + 16));
}

THAW_INLINE void pack_group(const float* x, std::byte* group, std::size_t tokens,
                            std::size_t token) {
  const Lanes16 a = Lanes16::load(x), b = Lanes16::load(x + 16);
  const float s = scale_of(largest_bits(a, b));
  int8x16_t first = vdupq_n_s8(0), second = vdupq_n_s8(0);
  if (s > 0) {
    const float r = 1.0f / s;
    first = quantise(a, r);
    second = quantise(b, r);
  }
  const int sum = vaddlvq_s8(first) + vaddlvq_s8(second);
  const std::size_t padded = even(tokens);
  place_token(first, second, s, s * static_cast<float>(sum), group, padded, token);
  if (token + 1 == tokens && padded != tokens) {  // the partner that an odd last token lacks
    const int8x16_t none = vdupq_n_s8(0);
    place_token(none, none, 0.0f, 0.0f, group, padded, tokens);
  }
}

// --- weights ---

// One step of a group: sixteen rows, four columns each.
struct Step {
  int8x16_t rows[4];
};

THAW_INLINE uint8x16_t shift_left(uint8x16_t x, int bits) {
  return vshlq_u8(x, vdupq_n_s8(static_cast<int8_t>(bits)));
}

// Step `step` of a group, unpacked from its planes.
template <Kind kKind>
THAW_INLINE Step unpack_step(const std::byte* codes, const std::byte* high, int step) {
  Step unpacked;
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (kKind == Kind::kQ8) {
      unpacked.rows[i] = load_s8(codes + 64 * step + 16 * i);
    } else {
      const uint8x16_t both = load_u8(codes + 64 * (step % 4) + 16 * i);
      uint8x16_t u = step >= 4 ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(0x0f));
      if constexpr (kKind == Kind::kQ5k || kKind == Kind::kQ6k) {
        constexpr bool kOne = kKind == Kind::kQ5k;
        const uint8x16_t plane = load_u8((kOne ? high : high + 64 * (step / 4)) + 16 * i);
        const int shift = kOne ? 4 - step : 4 - 2 * (step % 4);
        u = vorrq_u8(u, vandq_u8(shift_left(plane, shift), vdupq_n_u8(kOne ? 0x10 : 0x30)));
      }
      unpacked.rows[i] = vreinterpretq_s8_u8(u);
      if constexpr (kKind == Kind::kQ6k) {
        unpacked.rows[i] = vsubq_s8(unpacked.rows[i], vdupq_n_s8(32));
      }
    }
  }
  return unpacked;
}

// Sixteen 32-bit sums or factors, one a row.
struct Words {
  int32x4_t rows[4];
};

// q6k's sub-scales of one half.
THAW_INLINE Words sub_scale_words(const std::byte* from) {
  const int8x16_t bytes = load_s8(from);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
           vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}};
}

// Expanded: s8 [4 pairs of steps][2 steps][16 rows][4] (for smmla [8 row pairs][2 rows][2
// steps][4]), then f32 D[16] and M[16]; q6k has instead of M its sub-scales as s32 [2 halves][16
// rows].
template <Kind kKind>
inline constexpr std::size_t kExpandedGroup = kKind == Kind::kQ6k ? 704 : 640;

template <Kind kKind>
THAW_INLINE void expand_group(const std::byte* panel, std::size_t g, std::byte* to) {
  const std::byte* codes = codes_of<kKind>(panel, g);
  const std::byte* high = high_of<kKind>(panel, g);
  THAW_UNROLL
  for (int pair = 0; pair < 4; ++pair) {
    int8_t* lines = reinterpret_cast<int8_t*>(to + 128 * pair);
    const Step a = unpack_step<kKind>(codes, high, 2 * pair);
    const Step b = unpack_step<kKind>(codes, high, 2 * pair + 1);
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) {
      if constexpr (kMatrixProducts) {
        const int32x4_t x = vreinterpretq_s32_s8(a.rows[i]), y = vreinterpretq_s32_s8(b.rows[i]);
        vst1q_s8(lines + 32 * i, vreinterpretq_s8_s32(vzip1q_s32(x, y)));
        vst1q_s8(lines + 32 * i + 16, vreinterpretq_s8_s32(vzip2q_s32(x, y)));
      } else {
        vst1q_s8(lines + 16 * i, a.rows[i]);
        vst1q_s8(lines + 64 + 16 * i, b.rows[i]);
      }
    }
  }
  const Scales scales = scales_of<kKind>(panel, g);
  float* floats = reinterpret_cast<float*>(to + 512);
  scales.scale.store(floats);
  if constexpr (kKind == Kind::kQ6k) {
    const std::byte* sub = block_of<kKind>(panel, g) + Layout<kKind>::kSubScale + g % 8 * 32;
    for (int half = 0; half < 2; ++half) {
      const Words words = sub_scale_words(sub + 16 * half);
      for (int i = 0; i < 4; ++i) {
        vst1q_s32(reinterpret_cast<int32_t*>(to + 576 + 64 * half + 16 * i), words.rows[i]);
      }
    }
  } else {
    scales.minimum.store(floats + 16);
  }
}

// --- products ---

// Where a group's weights are: expanded (scales beside the codes), or in the panel.
template <Kind kKind, bool kExpanded>
struct Group {
  const std::byte* codes;
  const std::byte* high;
  const std::byte* panel;
  std::size_t index;

  static THAW_INLINE Group at(const std::byte* weights, std::size_t g) {
    if constexpr (kExpanded) return {weights + g * kExpandedGroup<kKind>, nullptr, nullptr, 0};
    return {codes_of<kKind>(weights, g), high_of<kKind>(weights, g), weights, g};
  }
  THAW_INLINE Step step(int s) const {
    if constexpr (!kExpanded) return unpack_step<kKind>(codes, high, s);
    Step step;
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) step.rows[i] = load_s8(codes + 64 * s + 16 * i);
    return step;
  }
  THAW_INLINE Words sub_scale(int half) const {
    if constexpr (!kExpanded) {
      return sub_scale_words(block_of<kKind>(panel, index) + Layout<kKind>::kSubScale +
                             index % 8 * 32 + 16 * half);
    }
    Words words;
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) {
      words.rows[i] = vld1q_s32(reinterpret_cast<const int32_t*>(codes + 576 + 64 * half + 16 * i));
    }
    return words;
  }
  THAW_INLINE Scales scales() const {
    if constexpr (!kExpanded) return scales_of<kKind>(panel, index);
    const float* floats = reinterpret_cast<const float*>(codes + 512);
    if constexpr (!has_minimum(kKind)) return {Lanes16::load(floats), Lanes16::zero()};
    return {Lanes16::load(floats), Lanes16::load(floats + 16)};
  }
};

// Adds pairs of steps [from, to) of a group onto 32-bit sums, by sdot.
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void add_steps(const Group<kKind, kExpanded>& group, const std::byte* x, int from,
                           int to, Words (&sums)[kTokens]) {
  constexpr int kPairs = (kTokens + 1) / 2;
  THAW_UNROLL
  for (int pair = from; pair < to; ++pair) {
    int8x16_t q[kPairs];
    THAW_UNROLL
    for (int t = 0; t < kPairs; ++t) q[t] = load_s8(x + 16 * (pair * kPairs + t));
    const Step a = group.step(2 * pair), b = group.step(2 * pair + 1);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (int i = 0; i < 4; ++i) {
        int32x4_t& sum = sums[t].rows[i];
        if (t % 2 == 0) {
          sum = vdotq_laneq_s32(sum, a.rows[i], q[t / 2], 0);
          sum = vdotq_laneq_s32(sum, b.rows[i], q[t / 2], 1);
        } else {
          sum = vdotq_laneq_s32(sum, a.rows[i], q[t / 2], 2);
          sum = vdotq_laneq_s32(sum, b.rows[i], q[t / 2], 3);
        }
      }
    }
  }
}

// The same by smmla, for an expanded group; all sums of its token pairs, from zero.
template <Kind kKind, int kTokens>
THAW_INLINE void multiply_steps(const Group<kKind, true>& group, const std::byte* x, int from,
                                int to, Words (&sums)[kTokens]) {
  constexpr int kPairs = (kTokens + 1) / 2;
  int32x4_t squares[kPairs][8];  // of two rows and two tokens each
  THAW_UNROLL
  for (int t = 0; t < kPairs; ++t) {
    THAW_UNROLL
    for (int i = 0; i < 8; ++i) squares[t][i] = vdupq_n_s32(0);
  }
  THAW_UNROLL
  for (int pair = from; pair < to; ++pair) {
    THAW_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int8x16_t w = load_s8(group.codes + 128 * pair + 16 * i);
      THAW_UNROLL
      for (int t = 0; t < kPairs; ++t) {
        squares[t][i] = vmmlaq_s32(squares[t][i], w, load_s8(x + 16 * (pair * kPairs + t)));
      }
    }
  }
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int32x4_t upper = squares[t / 2][2 * i], lower = squares[t / 2][2 * i + 1];
      sums[t].rows[i] = t % 2 == 0 ? vuzp1q_s32(upper, lower) : vuzp2q_s32(upper, lower);
    }
  }
}

// Exact dot products of pairs of steps [from, to).
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void dot_steps(const Group<kKind, kExpanded>& group, const std::byte* x, int from,
                           int to, Words (&sums)[kTokens]) {
  if constexpr (kExpanded && kMatrixProducts) {
    multiply_steps<kKind, kTokens>(group, x, from, to, sums);
  } else {
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (int i = 0; i < 4; ++i) sums[t].rows[i] = vdupq_n_s32(0);
    }
    add_steps<kKind, kExpanded, kTokens>(group, x, from, to, sums);
  }
}

template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_group(const std::byte* weights, std::size_t g, const std::byte* x,
                                float* sums) {
  const auto group = Group<kKind, kExpanded>::at(weights, g);
  Words dots[kTokens];
  if constexpr (kKind == Kind::kQ6k) {
    Words halves[2][kTokens];
    THAW_UNROLL
    for (int half = 0; half < 2; ++half) {
      dot_steps<kKind, kExpanded, kTokens>(group, x, 2 * half, 2 * half + 2, halves[half]);
      const Words factor = group.sub_scale(half);
      THAW_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        THAW_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int32x4_t product = vmulq_s32(halves[half][t].rows[i], factor.rows[i]);
          dots[t].rows[i] = half == 0 ? product : vaddq_s32(dots[t].rows[i], product);
        }
      }
    }
  } else {
    dot_steps<kKind, kExpanded, kTokens>(group, x, 0, 4, dots);
  }
  const Scales scales = group.scales();
  constexpr std::size_t kPadded = even(kTokens);
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const float s = thaw::load<float>(x + 32 * kPadded + 4 * t);
    const float offset = thaw::load<float>(x + 36 * kPadded + 4 * t);
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float32x4_t scaled = vmulq_n_f32(vcvtq_f32_s32(dots[t].rows[i]), s);
      float* at = sums + 16 * t + 4 * i;
      float32x4_t sum = vfmaq_f32(vld1q_f32(at), scaled, scales.scale.v[i]);
      if constexpr (has_minimum(kKind)) sum = vfmaq_n_f32(sum, scales.minimum.v[i], offset);
      vst1q_f32(at, sum);
    }
  }
}

template <Kind kKind, int kTokens>
[[gnu::noinline]] void multiply_expanded(const std::byte* weights, const Terms& terms,
                                         float* sums) {
  const std::byte* x = terms.x;
  for (std::size_t i = 0; i < terms.count; ++i, x += packed_group_bytes(kTokens)) {
    multiply_group<kKind, true, kTokens>(weights, terms.at(i), x, sums);
  }
}

template <Kind kKind, int kTokens, int kPanels>
void multiply_panels(const std::byte* const* panels, const Terms& terms, float* sums) {
  const std::byte* x = terms.x;
  for (std::size_t i = 0; i < terms.count; ++i, x += packed_group_bytes(kTokens)) {
    for (int p = 0; p < kPanels; ++p) {
      prefetch_group<kKind>(panels[p], terms.at(i));
      multiply_group<kKind, false, kTokens>(panels[p], terms.at(i), x, sums + 16 * kTokens * p);
    }
  }
}
