// The lane vocabulary of the generic sources, for AVX2: sixteen lanes are two ymm registers.
// Included inside the target region of avx2.cc, once.
#pragma once

// How many Lanes16 accumulators the registers hold, and how many queries attention takes at once.
inline constexpr std::size_t kLanesAccumulators = 6;
inline constexpr std::size_t kQueryTile = 6;
inline constexpr std::size_t kFloatColumns = 6;

// Sixteen floats. Lane i of an operation is the IEEE operation on lanes i of its operands.
struct Lanes16 {
  __m256 low, high;

  static THAW_INLINE Lanes16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static THAW_INLINE Lanes16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static THAW_INLINE Lanes16 load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static THAW_INLINE Lanes16 load_f16(const void* from) {
    const __m128i* halves = static_cast<const __m128i*>(from);
    return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
  }
  static THAW_INLINE Lanes16 load_bf16(const void* from) {
    const __m128i* halves = static_cast<const __m128i*>(from);
    return {bf16(_mm_loadu_si128(halves)), bf16(_mm_loadu_si128(halves + 1))};
  }
  // Sixteen unsigned bytes, as floats.
  static THAW_INLINE Lanes16 widen_u8(__m128i bytes) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
  }

  THAW_INLINE void store(float* to) const {
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
  }
  // Rounds half to even; clamp first.
  THAW_INLINE void store_f16(void* to) const {
    __m128i* halves = static_cast<__m128i*>(to);
    _mm_storeu_si128(halves, _mm256_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT));
  }

  // The sixteen sums' tree: 8, 4, 2, 1 apart.
  THAW_INLINE float tree() const {
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  THAW_INLINE float largest() const {
    const __m256 eight = _mm256_max_ps(low, high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  static THAW_INLINE __m256 bf16(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
};

THAW_INLINE Lanes16 add(Lanes16 a, Lanes16 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
THAW_INLINE Lanes16 sub(Lanes16 a, Lanes16 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
THAW_INLINE Lanes16 mul(Lanes16 a, Lanes16 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
THAW_INLINE Lanes16 div(Lanes16 a, Lanes16 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
// a * b + c, rounded once.
THAW_INLINE Lanes16 fma(Lanes16 a, Lanes16 b, Lanes16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
// Where either operand is NaN, the second one.
THAW_INLINE Lanes16 min(Lanes16 a, Lanes16 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
THAW_INLINE Lanes16 max(Lanes16 a, Lanes16 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
THAW_INLINE Lanes16 negate(Lanes16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
// To the nearest whole number, half to even.
THAW_INLINE Lanes16 round(Lanes16 a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kMode), _mm256_round_ps(a.high, kMode)};
}
THAW_INLINE __m256 power_of_two(__m256i exponent) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}
THAW_INLINE __m256 scale_by_power(__m256 p, __m256 n) {
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256 first = _mm256_mul_ps(p, power_of_two(half));
  return _mm256_mul_ps(first, power_of_two(_mm256_sub_epi32(whole, half)));
}
// (p * 2^h) * 2^(n-h), h = floor(n / 2), for whole n.
THAW_INLINE Lanes16 scale_by_power(Lanes16 p, Lanes16 n) {
  return {scale_by_power(p.low, n.low), scale_by_power(p.high, n.high)};
}
THAW_INLINE __m256 move_exponent(__m256 p, __m256 n) {
  const __m256i moved = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);  // of NaN: 0
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), moved));
}
// p * 2^n for whole n, where p and the product are normal. NaN stays NaN where n is NaN, too.
THAW_INLINE Lanes16 move_exponent(Lanes16 p, Lanes16 n) {
  return {move_exponent(p.low, n.low), move_exponent(p.high, n.high)};
}
// y, but +0 in lanes where x < limit.
THAW_INLINE Lanes16 zero_below(Lanes16 x, float limit, Lanes16 y) {
  const __m256 least = _mm256_set1_ps(limit);
  return {_mm256_and_ps(_mm256_cmp_ps(x.low, least, _CMP_NLT_UQ), y.low),
          _mm256_and_ps(_mm256_cmp_ps(x.high, least, _CMP_NLT_UQ), y.high)};
}
// Bit i: lane i of a equals b's.
THAW_INLINE std::uint32_t equal_mask(Lanes16 a, Lanes16 b) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ));
  return static_cast<std::uint32_t>(low | high << 8);
}

THAW_INLINE __m256 unshuffle(__m256 a) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), _MM_SHUFFLE(3, 1, 2, 0)));
}
// Sixteen pairs apart: even gets from[0], from[2] ..., odd from[1], from[3] ...
THAW_INLINE void load_pairs(const float* from, Lanes16& even, Lanes16& odd) {
  const Lanes16 a = Lanes16::load(from), b = Lanes16::load(from + 16);
  constexpr int kEven = _MM_SHUFFLE(2, 0, 2, 0), kOdd = _MM_SHUFFLE(3, 1, 3, 1);
  even = {unshuffle(_mm256_shuffle_ps(a.low, a.high, kEven)),
          unshuffle(_mm256_shuffle_ps(b.low, b.high, kEven))};
  odd = {unshuffle(_mm256_shuffle_ps(a.low, a.high, kOdd)),
         unshuffle(_mm256_shuffle_ps(b.low, b.high, kOdd))};
}
THAW_INLINE void store_pairs(__m256 even, __m256 odd, float* to) {
  const __m256 a = _mm256_unpacklo_ps(even, odd), b = _mm256_unpackhi_ps(even, odd);
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(a, b, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(a, b, 0x31));
}
THAW_INLINE void store_pairs(Lanes16 even, Lanes16 odd, float* to) {
  store_pairs(even.low, odd.low, to);
  store_pairs(even.high, odd.high, to + 16);
}
