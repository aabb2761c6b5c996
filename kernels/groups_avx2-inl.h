// What the sets on AVX2's registers share, with VNNI and without: how a group is quantised,
// unpacked and found, and the walk over groups. Included inside a set's target region, after its
// lanes and before its products, which provide what is declared here as the set's own.
//
// A packed group of C tokens begins with s8 [8 steps][C][4], then per token the scale s, then g (s
// times the sum of q); what follows is the set's.

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

// One step of a group: rows 0..7 and 8..15, four columns each.
struct Step {
  __m256i low, high;
};

// --- the set's own ---

constexpr std::size_t packed_group_bytes(std::size_t tokens);
// sums + the products of w (u8) and q (s8), neighbours added, in lanes as wide as the set's
// multiply-add gives them.
THAW_INLINE __m256i multiply_add(__m256i sums, __m256i w, __m256i q);
// A step of q8 as the set multiplies it, from s8.
THAW_INLINE Step bytes_of_step(Step w);
// q6k's sub-scales of one half (s8 [16]), 32 bits a row, as the set multiplies by them.
THAW_INLINE Step sub_scale_factors(const std::byte* from);
// Adds a term's products with group g, scaled, onto sums [tokens][16].
//   x  the term's packed group
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_group(const std::byte* weights, std::size_t g, const std::byte* x,
                                float* sums);

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

// 32 floats as s8, dword i being step i, and their scale.
struct Quantised {
  __m256i q;
  float s;
};

THAW_INLINE Quantised quantise_group(const float* x) {
  const Lanes16 a = Lanes16::load(x), b = Lanes16::load(x + 16);
  const float s = scale_of(largest_bits(a, b));
  if (!(s > 0)) return {_mm256_setzero_si256(), s};
  return {quantise(a, b, 1.0f / s), s};
}

// What every packed group begins with.
//   sum  of q
THAW_INLINE void store_quantised(const Quantised& from, int sum, std::byte* group,
                                 std::size_t tokens, std::size_t token) {
  alignas(32) std::int32_t steps[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(steps), from.q);
  std::byte* to = group + 4 * token;
  for (std::size_t step = 0; step < 8; ++step) thaw::store(to + 4 * step * tokens, steps[step]);
  thaw::store(to + 32 * tokens, from.s);
  thaw::store(to + 36 * tokens, from.s * static_cast<float>(sum));
}

// --- weights ---

THAW_INLINE Step load_step(const std::byte* from) {
  const __m256i* lines = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(lines), _mm256_loadu_si256(lines + 1)};
}

THAW_INLINE __m256i shift_left(__m256i x, int bits) {
  return bits >= 0 ? _mm256_slli_epi16(x, bits) : _mm256_srli_epi16(x, -bits);
}

// Step `step` of group g, unpacked from its planes.
template <Kind kKind>
THAW_INLINE Step unpack_step(const std::byte* codes, const std::byte* high, int step) {
  if constexpr (kKind == Kind::kQ8) {
    return bytes_of_step(load_step(codes + 64 * step));
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

// Expanded: bytes [8 steps][16 rows][4], then f32 D[16] and M[16]; q6k has instead of M the factors
// of its sub-scales [2 halves][16 rows], before D.
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
      const Step factors = sub_scale_factors(sub + 16 * half);
      _mm256_store_si256(lines + 16 + 2 * half, factors.low);
      _mm256_store_si256(lines + 17 + 2 * half, factors.high);
    }
    scales.scale.store(floats + 32);
  } else {
    scales.scale.store(floats);
    scales.minimum.store(floats + 16);
  }
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
    return sub_scale_factors(sub + 16 * half);
  }
  THAW_INLINE Scales scales() const {
    if constexpr (!kExpanded) return scales_of<kKind>(panel, index);
    const float* floats = reinterpret_cast<const float*>(codes + 512);
    if constexpr (kKind == Kind::kQ6k) return {Lanes16::load(floats + 32), Lanes16::zero()};
    return {Lanes16::load(floats), Lanes16::load(floats + 16)};
  }
};

// --- products ---

// Keeps gcc from moving the sums to memory between two steps: without it, it spills half of them.
THAW_INLINE void hold(__m256i& a, __m256i& b) { asm volatile("" : "+x"(a), "+x"(b)); }

THAW_INLINE __m256i broadcast_word(const std::byte* from) {
  return _mm256_set1_epi32(thaw::load<std::int32_t>(from));
}
THAW_INLINE __m256 broadcast_float(const std::byte* from) {
  return _mm256_set1_ps(thaw::load<float>(from));
}

// Adds steps [from, to) of a group onto sums.
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void add_steps(const Group<kKind, kExpanded>& group, const std::byte* x, int from,
                           int to, __m256i (&sums)[kTokens][2]) {
  THAW_UNROLL
  for (int s = from; s < to; ++s) {
    const Step w = group.step(s);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const __m256i q = broadcast_word(x + 4 * (s * kTokens + t));
      sums[t][0] = multiply_add(sums[t][0], w.low, q);
      sums[t][1] = multiply_add(sums[t][1], w.high, q);
      hold(sums[t][0], sums[t][1]);
    }
  }
}

// One token's group: sums += t * D, then += g * M; t is float(dot) * s.
template <bool kMinimum>
THAW_INLINE void accumulate(__m256 low, __m256 high, const std::byte* g, const Scales& scales,
                            float* sums) {
  __m256 sum0 = _mm256_fmadd_ps(low, scales.scale.low, _mm256_load_ps(sums));
  __m256 sum1 = _mm256_fmadd_ps(high, scales.scale.high, _mm256_load_ps(sums + 8));
  if constexpr (kMinimum) {
    const __m256 offset = broadcast_float(g);
    sum0 = _mm256_fmadd_ps(offset, scales.minimum.low, sum0);
    sum1 = _mm256_fmadd_ps(offset, scales.minimum.high, sum1);
  }
  _mm256_store_ps(sums, sum0);
  _mm256_store_ps(sums + 8, sum1);
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
