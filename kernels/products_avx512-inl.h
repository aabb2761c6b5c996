// Quantised matrix products of AVX-512 with VNNI, around vpdpbusd: u8 weights times s8 activations,
// fours added into 32 bits, exactly. Signed weights go in with an offset, which the accumulator's
// start takes back: q8 as w + 128, q6k as v (its weight is (v - 32) * sub-scale).
//
// Other sums also start at the bits of the float 1.5 * 2^23, so that, taken for a float, a sum I is
// 1.5 * 2^23 + I; float(I) * s is then fma(sum, s, -1.5 * 2^23 * s), one operation instead of two,
// with the same bits: the product 1.5 * 2^23 * s is exact (s has 22 bits) and |I| < 2^22.
//
// A packed group of C tokens: s8 [8 steps][C][4], then per token the scale s, then g (s times the
// sum of q), then q8's start, then -1.5 * 2^23 * s, then for each half of the group -32 times its
// sum.
inline constexpr std::size_t kTokenBlock = 4;
inline constexpr std::size_t kTilePanels = 4;
inline constexpr std::size_t kDirect = 8;  // tokens up to which weights expand in registers
constexpr std::size_t direct_panels(Kind, std::size_t tokens) {
  return tokens <= 2 ? 8 : tokens <= 4 ? 4 : 2;
}
template <Kind kKind>
inline constexpr std::size_t kInPlaceTokens = 0;  // several panels share activations instead
inline constexpr std::size_t kDirectFloat = 4;

inline constexpr float kMagic = 0x1.8p23f;
inline constexpr std::int32_t kMagicBits = std::bit_cast<std::int32_t>(kMagic);

constexpr std::size_t packed_group_bytes(std::size_t tokens) { return 56 * tokens; }

// Six-bit sub-scales and sub-minima of sixteen rows (kind.h, "sub").
THAW_INLINE void sub_scales(const std::byte* low, const std::byte* high, bool even, Lanes16& scale,
                            Lanes16& minimum) {
  const __m128i four = _mm_set1_epi8(0x0f), two = _mm_set1_epi8(0x30);
  const __m128i l = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
  __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(high));
  h = even ? _mm_slli_epi16(h, 4) : h;  // bits 4..5 for the scale, 6..7 for the minimum
  const __m128i sc = _mm_or_si128(_mm_and_si128(l, four), _mm_and_si128(h, two));
  const __m128i mn = _mm_or_si128(_mm_and_si128(_mm_srli_epi16(l, 4), four),
                                  _mm_and_si128(_mm_srli_epi16(h, 2), two));
  scale = Lanes16::widen_u8(sc);
  minimum = Lanes16::widen_u8(mn);
}

#include "kernels/weights-inl.h"

// --- activations ---

// The largest of |x| over 32 floats, as bits.
THAW_INLINE std::uint32_t largest_bits(Lanes16 a, Lanes16 b) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i sixteen = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a.v), magnitude),
                                           _mm512_and_si512(_mm512_castps_si512(b.v), magnitude));
  const __m256i eight =
      _mm256_max_epi32(_mm512_castsi512_si256(sixteen), _mm512_extracti64x4_epi64(sixteen, 1));
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(four));
}

// rint(x * r) of sixteen floats as s8: four steps.
THAW_INLINE __m128i quantise(Lanes16 x, Lanes16 r) {
  return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(mul(x, r).v));  // half to even, the default mode
}

THAW_INLINE std::uint32_t largest_of(const float* x) {
  return largest_bits(Lanes16::load(x), Lanes16::load(x + 16));
}

THAW_INLINE void pack_group(const float* x, std::byte* group, std::size_t tokens,
                            std::size_t token) {
  const Lanes16 a = Lanes16::load(x), b = Lanes16::load(x + 16);
  const float s = scale_of(largest_bits(a, b));
  __m128i first = _mm_setzero_si128(), second = _mm_setzero_si128();
  if (s > 0) {
    const Lanes16 r = Lanes16::set1(1.0f / s);
    first = quantise(a, r);
    second = quantise(b, r);
  }
  // Sums of each half, in dwords 0 and 2 after psadbw: bytes are made unsigned by 128, 16 a half.
  const __m256i q = _mm256_set_m128i(second, first);
  const __m256i shifted = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
  const __m256i fours = _mm256_sad_epu8(shifted, _mm256_setzero_si256());
  const __m256i halves = _mm256_add_epi64(fours, _mm256_unpackhi_epi64(fours, fours));
  const int sum0 = _mm256_extract_epi32(halves, 0) - 16 * 128;
  const int sum1 = _mm256_extract_epi32(halves, 4) - 16 * 128;

  alignas(32) std::int32_t steps[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(steps), q);
  std::byte* to = group + 4 * token;
  for (std::size_t step = 0; step < 8; ++step) thaw::store(to + 4 * step * tokens, steps[step]);
  thaw::store(to + 32 * tokens, s);
  thaw::store(to + 36 * tokens, s * static_cast<float>(sum0 + sum1));
  thaw::store(to + 40 * tokens, kMagicBits - 128 * (sum0 + sum1));
  thaw::store(to + 44 * tokens, -kMagic * s);
  thaw::store(to + 48 * tokens, -32 * sum0);
  thaw::store(to + 52 * tokens, -32 * sum1);
}

// --- weights ---

THAW_INLINE __m512i load_line(const std::byte* from) { return _mm512_loadu_si512(from); }

THAW_INLINE __m512i shift_left(__m512i x, int bits) {
  return bits >= 0 ? _mm512_slli_epi16(x, static_cast<unsigned>(bits))
                   : _mm512_srli_epi16(x, static_cast<unsigned>(-bits));
}

// Step `step` of a group, unpacked from its planes to u8.
template <Kind kKind>
THAW_INLINE __m512i unpack_step(const std::byte* codes, const std::byte* high, int step) {
  if constexpr (kKind == Kind::kQ8) {
    return _mm512_xor_si512(load_line(codes + 64 * step), _mm512_set1_epi8(-128));
  } else {
    __m512i line = load_line(codes + 64 * (step % 4));
    if (step >= 4) line = _mm512_srli_epi16(line, 4);
    line = _mm512_and_si512(line, _mm512_set1_epi8(0x0f));
    if constexpr (kKind == Kind::kQ5k || kKind == Kind::kQ6k) {
      constexpr bool kOne = kKind == Kind::kQ5k;
      const __m512i plane = load_line(kOne ? high : high + 64 * (step / 4));
      const int shift = kOne ? 4 - step : 4 - 2 * (step % 4);
      const __m512i mask = _mm512_set1_epi8(kOne ? 0x10 : 0x30);
      line = _mm512_or_si512(line, _mm512_and_si512(shift_left(plane, shift), mask));
    }
    return line;
  }
}

// q6k's sub-scales of one half.
THAW_INLINE Lanes16 sub_scales_of_half(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}

// Expanded: u8 [8 steps][16 rows][4], then f32 D[16] and M[16]; q6k has instead of M its sub-scales
// as floats [2 halves][16 rows].
template <Kind kKind>
inline constexpr std::size_t kExpandedGroup = kKind == Kind::kQ6k ? 704 : 640;

template <Kind kKind>
THAW_INLINE void expand_group(const std::byte* panel, std::size_t g, std::byte* to) {
  const std::byte* codes = codes_of<kKind>(panel, g);
  const std::byte* high = high_of<kKind>(panel, g);
  THAW_UNROLL
  for (int step = 0; step < 8; ++step) {
    _mm512_storeu_si512(to + 64 * step, unpack_step<kKind>(codes, high, step));
  }
  const Scales scales = scales_of<kKind>(panel, g);
  float* floats = reinterpret_cast<float*>(to + 512);
  scales.scale.store(floats);
  if constexpr (kKind == Kind::kQ6k) {
    const std::byte* sub = block_of<kKind>(panel, g) + Layout<kKind>::kSubScale + g % 8 * 32;
    sub_scales_of_half(sub).store(floats + 16);
    sub_scales_of_half(sub + 16).store(floats + 32);
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
  THAW_INLINE __m512i step(int s) const {
    if constexpr (kExpanded) return load_line(codes + 64 * s);
    return unpack_step<kKind>(codes, high, s);
  }
  THAW_INLINE Lanes16 expanded_floats(int i) const {
    return Lanes16::load(reinterpret_cast<const float*>(codes + 512) + 16 * i);
  }
  THAW_INLINE Lanes16 sub_scale(int half) const {
    if constexpr (kExpanded) return expanded_floats(1 + half);
    return sub_scales_of_half(block_of<kKind>(panel, index) + Layout<kKind>::kSubScale +
                              index % 8 * 32 + 16 * half);
  }
  THAW_INLINE Scales scales() const {
    if constexpr (!kExpanded) return scales_of<kKind>(panel, index);
    if constexpr (!has_minimum(kKind)) return {expanded_floats(0), Lanes16::zero()};
    return {expanded_floats(0), expanded_floats(1)};
  }
};

THAW_INLINE __m512i broadcast_word(const std::byte* from) {
  return _mm512_set1_epi32(thaw::load<std::int32_t>(from));
}
THAW_INLINE Lanes16 broadcast_float(const std::byte* from) {
  return Lanes16::set1(thaw::load<float>(from));
}

// Adds steps [from, to) of one group of each panel onto 32-bit sums.
template <Kind kKind, bool kExpanded, int kTokens, int kPanels>
THAW_INLINE void add_steps(const Group<kKind, kExpanded> (&groups)[kPanels], const std::byte* x,
                           int from, int to, __m512i (&sums)[kTokens][kPanels]) {
  THAW_UNROLL
  for (int s = from; s < to; ++s) {
    __m512i w[kPanels];
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) w[p] = groups[p].step(s);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const __m512i q = broadcast_word(x + 4 * (s * kTokens + t));
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) sums[t][p] = _mm512_dpbusd_epi32(sums[t][p], w[p], q);
    }
  }
}

// float(I) of each token, q6k: each half's sum and its sub-scale are whole numbers whose products
// stay below 2^24, so this is exact in floats, and cheaper than multiplying integers.
template <bool kExpanded, int kTokens, int kPanels>
THAW_INLINE void dots_of_halves(const Group<Kind::kQ6k, kExpanded> (&groups)[kPanels],
                                const std::byte* x, Lanes16 (&dots)[kTokens][kPanels]) {
  __m512i sums[kTokens][kPanels];
  THAW_UNROLL
  for (int half = 0; half < 2; ++half) {
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        sums[t][p] = broadcast_word(x + (48 + 4 * half) * kTokens + 4 * t);
      }
    }
    add_steps<Kind::kQ6k, kExpanded, kTokens, kPanels>(groups, x, 4 * half, 4 * half + 4, sums);
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const Lanes16 factor = groups[p].sub_scale(half);
      THAW_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const Lanes16 sum = {_mm512_cvtepi32_ps(sums[t][p])};
        dots[t][p] = half == 0 ? mul(sum, factor) : fma(sum, factor, dots[t][p]);
      }
    }
  }
}

// float(I) * s of token t and panel p; I is the group's exact dot product. `dot` is its sum, which
// for q6k is float(I) already, for other kinds began at 1.5 * 2^23.
template <Kind kKind, int kTokens>
THAW_INLINE Lanes16 scaled_dot(__m512 dot, const std::byte* x, int t) {
  const Lanes16 s = broadcast_float(x + 32 * kTokens + 4 * t);
  if constexpr (kKind == Kind::kQ6k) return mul({dot}, s);
  return fma({dot}, s, broadcast_float(x + 44 * kTokens + 4 * t));
}

template <Kind kKind, bool kExpanded, int kTokens, int kPanels>
THAW_INLINE void dot_group(const Group<kKind, kExpanded> (&groups)[kPanels], const std::byte* x,
                           Lanes16 (&dots)[kTokens][kPanels]) {
  if constexpr (kKind == Kind::kQ6k) {
    dots_of_halves<kExpanded, kTokens, kPanels>(groups, x, dots);
  } else {
    __m512i sums[kTokens][kPanels];
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        sums[t][p] = kKind == Kind::kQ8 ? broadcast_word(x + 40 * kTokens + 4 * t)
                                        : _mm512_set1_epi32(kMagicBits);
      }
    }
    add_steps<kKind, kExpanded, kTokens, kPanels>(groups, x, 0, 8, sums);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (int p = 0; p < kPanels; ++p) dots[t][p] = {_mm512_castsi512_ps(sums[t][p])};
    }
  }
}

// sum + (dot * s) * D, then + g * M, of token t.
template <Kind kKind, int kTokens>
THAW_INLINE Lanes16 finish(Lanes16 dot, const Scales& scales, const std::byte* x, int t,
                           Lanes16 sum) {
  sum = fma(scaled_dot<kKind, kTokens>(dot.v, x, t), scales.scale, sum);
  if constexpr (!has_minimum(kKind)) return sum;
  return fma(broadcast_float(x + 36 * kTokens + 4 * t), scales.minimum, sum);
}

// Sums stay in memory between groups: the registers are full of dots, and what is not carried from
// group to group lets the processor begin the next while this one ends.
template <Kind kKind, int kTokens>
[[gnu::noinline]] void multiply_expanded(const std::byte* weights, const Terms& terms,
                                         float* sums) {
  constexpr std::size_t kBytes = kExpandedGroup<kKind>;
  const std::byte* x = terms.x;
  for (std::size_t i = 0; i < terms.count; ++i, x += packed_group_bytes(kTokens)) {
    const std::byte* at = weights + terms.at(i) * kTilePanels * kBytes;
    Group<kKind, true> groups[kTilePanels];
    Scales scales[kTilePanels];
    THAW_UNROLL
    for (std::size_t p = 0; p < kTilePanels; ++p) {
      groups[p] = Group<kKind, true>::at(at, p);
      scales[p] = groups[p].scales();
    }
    Lanes16 dots[kTokens][kTilePanels];
    dot_group(groups, x, dots);
    asm volatile("" ::: "memory");  // or gcc keeps the sums in registers, and spills
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      THAW_UNROLL
      for (std::size_t p = 0; p < kTilePanels; ++p) {
        float* sum = sums + 16 * (t * kTilePanels + p);
        finish<kKind, kTokens>(dots[t][p], scales[p], x, t, Lanes16::load(sum)).store(sum);
      }
    }
  }
}

// The same for panels as they lie.
template <Kind kKind, int kTokens, int kPanels>
[[gnu::noinline]] void multiply_panels(const std::byte* const* from, const Terms& terms,
                                       float* sums) {
  const std::byte* panels[kPanels];
  THAW_UNROLL
  for (int p = 0; p < kPanels; ++p) panels[p] = from[p];
  const std::byte* x = terms.x;
  for (std::size_t i = 0; i < terms.count; ++i, x += packed_group_bytes(kTokens)) {
    const std::size_t g = terms.at(i);
    Group<kKind, false> groups[kPanels];
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      prefetch_group<kKind>(panels[p], g);
      groups[p] = Group<kKind, false>::at(panels[p], g);
    }
    Lanes16 dots[kTokens][kPanels];
    dot_group(groups, x, dots);
    asm volatile("" ::: "memory");
    THAW_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const Scales scales = groups[p].scales();
      THAW_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        float* sum = sums + 16 * (p * kTokens + t);
        finish<kKind, kTokens>(dots[t][p], scales, x, t, Lanes16::load(sum)).store(sum);
      }
    }
  }
}
