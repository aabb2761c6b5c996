// Quantised matrix products of AVX2 without VNNI, around vpmaddubsw: u8 weights times s8
// activations, pairs added into 16 bits with saturation. No sum here can saturate or wrap:
//   q4, q4m, q4k  u <= 15: eight products' pairs are at most 8 * 2 * 15 * 127 = 30480
//   q5k           u <= 31: four are at most 4 * 2 * 31 * 127 = 31496, then widened to 32 bits
//   q6k           v <= 63: a sum starts at -32 * (the activations' pair sums), modulo 2^16; after
//                 four it is the sum of (v - 32) * q, at most 4 * 2 * 32 * 127 = 32512
//   q8            |w| <= 128 times q with w's sign: one pair is at most 2 * 128 * 127 = 32512, and
//                 each is widened
//
// A packed group of C tokens: s8 [8 steps][C][4], then per token the scale s, then g (s times the
// sum of q), then for each half of the group two s16: -32 times the sums of its even and odd pairs.
inline constexpr std::size_t kTokenBlock = 4;
inline constexpr std::size_t kTilePanels = 1;
inline constexpr std::size_t kDirect = 4;  // tokens up to which weights expand in registers
constexpr std::size_t direct_panels(std::size_t tokens) {
  return tokens <= 1 ? 8 : tokens <= 2 ? 4 : 1;
}
inline constexpr std::size_t kDirectFloat = 4;
// Up to so many tokens, unpacking anew for each four costs less than expanding once: most of it hides
// behind the products, where expanding q4 costs as much as the products of 4.5 tokens.
template <Kind kKind>
inline constexpr std::size_t kInPlaceTokens =
    kKind == Kind::kQ4 || kKind == Kind::kQ4m ? 32 : kKind == Kind::kQ5k ? 0 : 12;

constexpr std::size_t packed_group_bytes(std::size_t tokens) { return 48 * tokens; }

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

THAW_INLINE __m256i whole_numbers(__m256 x, __m256 factor) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(x, factor));  // half to even, the default mode
}

// The largest of |x| over 32 floats, as bits.
THAW_INLINE std::uint32_t largest_bits(Lanes16 a, Lanes16 b) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  const __m256i eight =
      _mm256_max_epi32(_mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(a.low), magnitude),
                                        _mm256_and_si256(_mm256_castps_si256(a.high), magnitude)),
                       _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(b.low), magnitude),
                                        _mm256_and_si256(_mm256_castps_si256(b.high), magnitude)));
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(four));
}

// rint(x * r) of 32 floats as s8; dword i is step i.
THAW_INLINE __m256i quantise(Lanes16 a, Lanes16 b, float r) {
  const __m256 factor = _mm256_set1_ps(r);
  const __m256i ab =
      _mm256_packs_epi32(whole_numbers(a.low, factor), whole_numbers(a.high, factor));
  const __m256i cd =
      _mm256_packs_epi32(whole_numbers(b.low, factor), whole_numbers(b.high, factor));
  const __m256i mixed = _mm256_packs_epi16(ab, cd);  // packs work within 128-bit lanes
  return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

THAW_INLINE std::uint32_t largest_of(const float* x) {
  return largest_bits(Lanes16::load(x), Lanes16::load(x + 16));
}

THAW_INLINE void pack_group(const float* x, std::byte* group, std::size_t tokens,
                            std::size_t token) {
  const Lanes16 a = Lanes16::load(x), b = Lanes16::load(x + 16);
  const float s = scale_of(largest_bits(a, b));
  __m256i q = _mm256_setzero_si256();
  if (s > 0) {
    q = quantise(a, b, 1.0f / s);
  }
  // Every dword of a 128-bit lane gets the two pair sums of that half.
  __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
  pairs = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, _MM_SHUFFLE(1, 0, 3, 2)));
  pairs = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, _MM_SHUFFLE(2, 3, 0, 1)));
  const __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  const __m256i starts = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(pairs, 5));
  const int sum = _mm256_extract_epi32(sums, 0) + _mm256_extract_epi32(sums, 4);

  alignas(32) std::int32_t steps[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(steps), q);
  std::byte* to = group + 4 * token;
  for (std::size_t step = 0; step < 8; ++step) thaw::store(to + 4 * step * tokens, steps[step]);
  thaw::store(to + 32 * tokens, s);
  thaw::store(to + 36 * tokens, s * static_cast<float>(sum));
  thaw::store(to + 40 * tokens, _mm256_extract_epi32(starts, 0));
  thaw::store(to + 44 * tokens, _mm256_extract_epi32(starts, 4));
}

// --- weights ---

// One step of a group: rows 0..7 and 8..15, four columns each.
struct Step {
  __m256i low, high;
};

THAW_INLINE Step load_step(const std::byte* from) {
  const __m256i* lines = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(lines), _mm256_loadu_si256(lines + 1)};
}

THAW_INLINE __m256i shift_left(__m256i x, int bits) {
  return bits >= 0 ? _mm256_slli_epi16(x, bits) : _mm256_srli_epi16(x, -bits);
}

// Step `step` of group g, unpacked from its planes; q8 as it lies.
template <Kind kKind>
THAW_INLINE Step unpack_step(const std::byte* codes, const std::byte* high, int step) {
  if constexpr (kKind == Kind::kQ8) {
    return load_step(codes + 64 * step);
  } else {
    const __m256i four = _mm256_set1_epi8(0x0f);
    Step line = load_step(codes + 64 * (step % 4));
    if (step >= 4) line = {_mm256_srli_epi16(line.low, 4), _mm256_srli_epi16(line.high, 4)};
    line = {_mm256_and_si256(line.low, four), _mm256_and_si256(line.high, four)};
    if constexpr (kKind == Kind::kQ5k || kKind == Kind::kQ6k) {
      constexpr bool kOne = kKind == Kind::kQ5k;
      const Step plane = load_step(kOne ? high : high + 64 * (step / 4));
      const __m256i mask = _mm256_set1_epi8(kOne ? 0x10 : 0x30);
      const int shift = kOne ? 4 - step : 4 - 2 * (step % 4);
      line.low = _mm256_or_si256(line.low, _mm256_and_si256(shift_left(plane.low, shift), mask));
      line.high = _mm256_or_si256(line.high, _mm256_and_si256(shift_left(plane.high, shift), mask));
    }
    return line;
  }
}

// q6k's sub-scales of one half as pairs of s16, one pair a row.
THAW_INLINE Step sub_scale_pairs(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m256i words = _mm256_cvtepi8_epi16(bytes);
  const __m256i a = _mm256_unpacklo_epi16(words, words), b = _mm256_unpackhi_epi16(words, words);
  return {_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)};
}

// Expanded: u8 [8 steps][16 rows][4], then f32 D[16] and M[16]; q6k has instead of M its sub-scales
// as pairs of s16 [2 halves][16 rows], before D. q8 is read where it lies.
template <Kind kKind>
inline constexpr std::size_t kExpandedGroup = kKind == Kind::kQ6k ? 704 : 640;

template <Kind kKind>
THAW_INLINE void expand_group(const std::byte* panel, std::size_t g, std::byte* to) {
  const std::byte* codes = codes_of<kKind>(panel, g);
  const std::byte* high = high_of<kKind>(panel, g);
  __m256i* lines = reinterpret_cast<__m256i*>(to);
  THAW_UNROLL
  for (int step = 0; step < 8; ++step) {
    const Step unpacked = unpack_step<kKind>(codes, high, step);
    _mm256_store_si256(lines + 2 * step, unpacked.low);
    _mm256_store_si256(lines + 2 * step + 1, unpacked.high);
  }
  const Scales scales = scales_of<kKind>(panel, g);
  float* floats = reinterpret_cast<float*>(to + 512);
  if constexpr (kKind == Kind::kQ6k) {
    const std::byte* sub = block_of<kKind>(panel, g) + Layout<kKind>::kSubScale + g % 8 * 32;
    for (int half = 0; half < 2; ++half) {
      const Step pairs = sub_scale_pairs(sub + 16 * half);
      _mm256_store_si256(lines + 16 + 2 * half, pairs.low);
      _mm256_store_si256(lines + 17 + 2 * half, pairs.high);
    }
    scales.scale.store(floats + 32);
  } else {
    scales.scale.store(floats);
    scales.minimum.store(floats + 16);
  }
}

// --- products ---

// Keeps gcc from moving the sums to memory between two steps: without it, it spills half of them.
THAW_INLINE void hold(__m256i& a, __m256i& b) { asm volatile("" : "+x"(a), "+x"(b)); }

THAW_INLINE __m256i broadcast_word(const std::byte* from) {
  return _mm256_set1_epi32(thaw::load<std::int32_t>(from));
}
THAW_INLINE __m256 broadcast_float(const std::byte* from) {
  return _mm256_set1_ps(thaw::load<float>(from));
}

// One token's group: sums += (float(dot) * s) * D, then += g * M.
template <bool kMinimum>
THAW_INLINE void finish_token(__m256i low, __m256i high, const std::byte* s, const std::byte* g,
                              const Scales& scales, float* sums) {
  const __m256 factor = broadcast_float(s);
  const __m256 t0 = _mm256_mul_ps(_mm256_cvtepi32_ps(low), factor);
  const __m256 t1 = _mm256_mul_ps(_mm256_cvtepi32_ps(high), factor);
  __m256 sum0 = _mm256_fmadd_ps(t0, scales.scale.low, _mm256_load_ps(sums));
  __m256 sum1 = _mm256_fmadd_ps(t1, scales.scale.high, _mm256_load_ps(sums + 8));
  if constexpr (kMinimum) {
    const __m256 offset = broadcast_float(g);
    sum0 = _mm256_fmadd_ps(offset, scales.minimum.low, sum0);
    sum1 = _mm256_fmadd_ps(offset, scales.minimum.high, sum1);
  }
  _mm256_store_ps(sums, sum0);
  _mm256_store_ps(sums + 8, sum1);
}

// Where a group's weights are: expanded (scales beside the codes), or in the panel.
template <Kind kKind, bool kExpanded>
struct Group {
  const std::byte* codes;
  const std::byte* high;
  const std::byte* sub;
  const std::byte* panel;
  std::size_t index;

  static THAW_INLINE Group at(const std::byte* weights, std::size_t g) {
    if constexpr (kExpanded) {
      const std::byte* codes = weights + g * kExpandedGroup<kKind>;
      return {codes, nullptr, codes + 512, weights, g};
    } else if constexpr (kKind == Kind::kQ6k) {
      return {codes_of<kKind>(weights, g), high_of<kKind>(weights, g),
              block_of<kKind>(weights, g) + Layout<kKind>::kSubScale + g % 8 * 32, weights, g};
    } else {
      return {codes_of<kKind>(weights, g), high_of<kKind>(weights, g), nullptr, weights, g};
    }
  }
  THAW_INLINE Step step(int s) const {
    if constexpr (kExpanded) return load_step(codes + 64 * s);
    return unpack_step<kKind>(codes, high, s);
  }
  THAW_INLINE Step sub_scales_of_half(int half) const {
    if constexpr (kExpanded) return load_step(sub + 64 * half);
    return sub_scale_pairs(sub + 16 * half);
  }
  THAW_INLINE Scales scales() const {
    if constexpr (!kExpanded) return scales_of<kKind>(panel, index);
    const float* floats = reinterpret_cast<const float*>(codes + 512);
    if constexpr (kKind == Kind::kQ6k) return {Lanes16::load(floats + 32), Lanes16::zero()};
    return {Lanes16::load(floats), Lanes16::load(floats + 16)};
  }
};

// Adds steps [from, to) of a group onto 16-bit sums.
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void add_steps(const Group<kKind, kExpanded>& group, const std::byte* x, int from,
                           int to, __m256i (&sums)[kTokens][2]) {
  THAW_UNROLL
  for (int s = from; s < to; ++s) {
    const Step w = group.step(s);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const __m256i q = broadcast_word(x + 4 * (s * kTokens + t));
      sums[t][0] = _mm256_add_epi16(sums[t][0], _mm256_maddubs_epi16(w.low, q));
      sums[t][1] = _mm256_add_epi16(sums[t][1], _mm256_maddubs_epi16(w.high, q));
      hold(sums[t][0], sums[t][1]);
    }
  }
}

// q4, q4m, q4k: eight steps in 16 bits.
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_nibbles(const Group<kKind, kExpanded>& group, const std::byte* x,
                                  float* sums) {
  __m256i dots[kTokens][2];
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
  add_steps<kKind, kExpanded, kTokens>(group, x, 0, 8, dots);
  const __m256i ones = _mm256_set1_epi16(1);
  const Scales scales = group.scales();
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    finish_token<true>(_mm256_madd_epi16(dots[t][0], ones), _mm256_madd_epi16(dots[t][1], ones),
                       x + 32 * kTokens + 4 * t, x + 36 * kTokens + 4 * t, scales, sums + 16 * t);
  }
}

// q5k, q6k: two halves of four steps, each widened (q6k: times its sub-scale).
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_halves(const Group<kKind, kExpanded>& group, const std::byte* x,
                                 float* sums) {
  constexpr bool kSix = kKind == Kind::kQ6k;
  __m256i dots[kTokens][2];
  alignas(32) __m256i first[kTokens][2];
  THAW_UNROLL
  for (int half = 0; half < 2; ++half) {
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      dots[t][0] =
          kSix ? broadcast_word(x + (40 + 4 * half) * kTokens + 4 * t) : _mm256_setzero_si256();
      dots[t][1] = dots[t][0];
    }
    add_steps<kKind, kExpanded, kTokens>(group, x, 4 * half, 4 * half + 4, dots);
    Step factor = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    if constexpr (kSix) factor = group.sub_scales_of_half(half);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      dots[t][0] = _mm256_madd_epi16(dots[t][0], factor.low);
      dots[t][1] = _mm256_madd_epi16(dots[t][1], factor.high);
      if (half == 0) {
        first[t][0] = dots[t][0];
        first[t][1] = dots[t][1];
      }
    }
  }
  const Scales scales = group.scales();
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    finish_token<!kSix>(_mm256_add_epi32(dots[t][0], first[t][0]),
                        _mm256_add_epi32(dots[t][1], first[t][1]), x + 32 * kTokens + 4 * t,
                        x + 36 * kTokens + 4 * t, scales, sums + 16 * t);
  }
}

// q8: the weight's sign goes to the activation.
template <bool kExpanded, int kTokens>
THAW_INLINE void multiply_bytes(const Group<Kind::kQ8, kExpanded>& group, const std::byte* x,
                                float* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i dots[kTokens][2];
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
  THAW_UNROLL
  for (int s = 0; s < 8; ++s) {
    const Step w = group.step(s);
    const __m256i low = _mm256_abs_epi8(w.low), high = _mm256_abs_epi8(w.high);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const __m256i q = broadcast_word(x + 4 * (s * kTokens + t));
      const __m256i a = _mm256_maddubs_epi16(low, _mm256_sign_epi8(q, w.low));
      const __m256i b = _mm256_maddubs_epi16(high, _mm256_sign_epi8(q, w.high));
      dots[t][0] = _mm256_add_epi32(dots[t][0], _mm256_madd_epi16(a, ones));
      dots[t][1] = _mm256_add_epi32(dots[t][1], _mm256_madd_epi16(b, ones));
      hold(dots[t][0], dots[t][1]);
    }
  }
  const Scales scales = group.scales();
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    finish_token<false>(dots[t][0], dots[t][1], x + 32 * kTokens + 4 * t, x + 36 * kTokens + 4 * t,
                        scales, sums + 16 * t);
  }
}

template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_group(const std::byte* weights, std::size_t g, const std::byte* x,
                                float* sums) {
  const auto group = Group<kKind, kExpanded>::at(weights, g);
  if constexpr (kKind == Kind::kQ8) {
    multiply_bytes<kExpanded, kTokens>(group, x, sums);
  } else if constexpr (kKind == Kind::kQ5k || kKind == Kind::kQ6k) {
    multiply_halves<kKind, kExpanded, kTokens>(group, x, sums);
  } else {
    multiply_nibbles<kKind, kExpanded, kTokens>(group, x, sums);
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
