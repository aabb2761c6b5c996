// The lane vocabulary of the generic sources, for AVX-512: sixteen lanes are one zmm register.
// Included inside the target region of avx512.cc, once.
#pragma once

// How many Lanes16 accumulators the registers hold, and how many queries attention takes at once.
inline constexpr std::size_t kLanesAccumulators = 16;
inline constexpr std::size_t kQueryTile = 8;
inline constexpr std::size_t kFloatColumns = 12;

THAW_INLINE __m256i load_halves(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

// Sixteen floats. Lane i of an operation is the IEEE operation on lanes i of its operands.
struct Lanes16 {
  __m512 v;

  static THAW_INLINE Lanes16 zero() { return {_mm512_setzero_ps()}; }
  static THAW_INLINE Lanes16 set1(float x) { return {_mm512_set1_ps(x)}; }
  static THAW_INLINE Lanes16 load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static THAW_INLINE Lanes16 load_f16(const void* from) {
    return {_mm512_cvtph_ps(load_halves(from))};
  }
  static THAW_INLINE Lanes16 load_bf16(const void* from) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_halves(from)), 16))};
  }
  // Sixteen unsigned bytes, as floats.
  static THAW_INLINE Lanes16 widen_u8(__m128i bytes) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
  }

  THAW_INLINE void store(float* to) const { _mm512_storeu_ps(to, v); }
  // Rounds half to even; clamp first.
  THAW_INLINE void store_f16(void* to) const {
    _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }

  // The sixteen sums' tree: 8, 4, 2, 1 apart.
  THAW_INLINE float tree() const {
    const __m256 eight = _mm256_add_ps(low(), high());
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  THAW_INLINE float largest() const {
    const __m256 eight = _mm256_max_ps(low(), high());
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

 private:
  THAW_INLINE __m256 low() const { return _mm512_castps512_ps256(v); }
  THAW_INLINE __m256 high() const {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  }
};

THAW_INLINE Lanes16 add(Lanes16 a, Lanes16 b) { return {_mm512_add_ps(a.v, b.v)}; }
THAW_INLINE Lanes16 sub(Lanes16 a, Lanes16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
THAW_INLINE Lanes16 mul(Lanes16 a, Lanes16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
THAW_INLINE Lanes16 div(Lanes16 a, Lanes16 b) { return {_mm512_div_ps(a.v, b.v)}; }
// a * b + c, rounded once.
THAW_INLINE Lanes16 fma(Lanes16 a, Lanes16 b, Lanes16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// Where either operand is NaN, the second one.
THAW_INLINE Lanes16 min(Lanes16 a, Lanes16 b) { return {_mm512_min_ps(a.v, b.v)}; }
THAW_INLINE Lanes16 max(Lanes16 a, Lanes16 b) { return {_mm512_max_ps(a.v, b.v)}; }
THAW_INLINE Lanes16 negate(Lanes16 a) {
  return {_mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(static_cast<int>(1u << 31))))};
}
// To the nearest whole number, half to even.
THAW_INLINE Lanes16 round(Lanes16 a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm512_roundscale_ps(a.v, kMode)};
}
THAW_INLINE __m512 power_of_two(__m512i exponent) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(exponent, _mm512_set1_epi32(127)), 23));
}
// (p * 2^h) * 2^(n-h), h = floor(n / 2), for whole n.
THAW_INLINE Lanes16 scale_by_power(Lanes16 p, Lanes16 n) {
  const __m512i whole = _mm512_cvtps_epi32(n.v);
  const __m512i half = _mm512_srai_epi32(whole, 1);
  const __m512 first = _mm512_mul_ps(p.v, power_of_two(half));
  return {_mm512_mul_ps(first, power_of_two(_mm512_sub_epi32(whole, half)))};
}
// p * 2^n for whole n, where p and the product are normal. NaN stays NaN where n is NaN, too.
THAW_INLINE Lanes16 move_exponent(Lanes16 p, Lanes16 n) {
  const __m512i moved = _mm512_slli_epi32(_mm512_cvtps_epi32(n.v), 23);  // of NaN: 0
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), moved))};
}
// y, but +0 in lanes where x < limit.
THAW_INLINE Lanes16 zero_below(Lanes16 x, float limit, Lanes16 y) {
  const __mmask16 kept = _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_NLT_UQ);
  return {_mm512_maskz_mov_ps(kept, y.v)};
}
// Bit i: lane i of a equals b's.
THAW_INLINE std::uint32_t equal_mask(Lanes16 a, Lanes16 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ);
}

// Sixteen pairs apart: even gets from[0], from[2] ..., odd from[1], from[3] ...
THAW_INLINE void load_pairs(const float* from, Lanes16& even, Lanes16& odd) {
  const __m512 a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + 16);
  const __m512i first =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even.v = _mm512_permutex2var_ps(a, first, b);
  odd.v = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(1)), b);
}
THAW_INLINE void store_pairs(Lanes16 even, Lanes16 odd, float* to) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  _mm512_storeu_ps(to, _mm512_permutex2var_ps(even.v, low, odd.v));
  _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(even.v, high, odd.v));
}
