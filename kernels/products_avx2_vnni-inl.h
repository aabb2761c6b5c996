// Quantised matrix products of AVX2 with AVX-VNNI, around vpdpbusd on ymm registers: u8 weights
// times s8 activations, fours added into 32 bits, exactly. Signed weights go in with an offset,
// which the sums' start takes back: q8 as w + 128, q6k as v (its weight is (v - 32) * sub-scale).
//
// Other sums also start at the bits of the float 1.5 * 2^23, so that, taken for a float, a sum I is
// 1.5 * 2^23 + I; float(I) * s is then fma(sum, s, -1.5 * 2^23 * s), one operation instead of two,
// with the same bits: the product 1.5 * 2^23 * s is exact (s has 22 bits) and |I| < 2^22.
//
// A packed group ends, per token, with q8's start, then -1.5 * 2^23 * s, then for each half of the
// group -32 times the sum of its q.
inline constexpr std::size_t kTokenBlock = 4;  // eight sums, two of weights, one of activations
inline constexpr std::size_t kTilePanels = 1;
inline constexpr std::size_t kDirect = 4;  // tokens up to which weights expand in registers
// As many streams as AVX-512's products take; unmeasured on a processor of this set.
constexpr std::size_t direct_panels(Kind, std::size_t tokens) { return tokens <= 2 ? 8 : 4; }
inline constexpr std::size_t kDirectFloat = 4;
// As AVX2's products; unmeasured, too.
template <Kind kKind>
inline constexpr std::size_t kInPlaceTokens =
    kKind == Kind::kQ4 || kKind == Kind::kQ4m ? 32 : kKind == Kind::kQ5k ? 0 : 12;

inline constexpr float kMagic = 0x1.8p23f;
inline constexpr std::int32_t kMagicBits = std::bit_cast<std::int32_t>(kMagic);

constexpr std::size_t packed_group_bytes(std::size_t tokens) { return 56 * tokens; }

// --- activations ---

THAW_INLINE void pack_group(const float* x, std::byte* group, std::size_t tokens,
                            std::size_t token) {
  const Quantised quantised = quantise_group(x);
  // Sums of each half, in the lower dword of each 128-bit lane.
  __m256i sums = _mm256_maddubs_epi16(_mm256_set1_epi8(1), quantised.q);
  sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
  const int first = _mm256_extract_epi32(sums, 0), second = _mm256_extract_epi32(sums, 4);
  store_quantised(quantised, first + second, group, tokens, token);
  std::byte* to = group + 4 * token;
  thaw::store(to + 40 * tokens, kMagicBits - 128 * (first + second));
  thaw::store(to + 44 * tokens, -kMagic * quantised.s);
  thaw::store(to + 48 * tokens, -32 * first);
  thaw::store(to + 52 * tokens, -32 * second);
}

// --- weights ---

THAW_INLINE Step bytes_of_step(Step w) {
  const __m256i offset = _mm256_set1_epi8(-128);
  return {_mm256_xor_si256(w.low, offset), _mm256_xor_si256(w.high, offset)};
}

// q6k's sub-scales of one half, as floats.
THAW_INLINE Step sub_scale_factors(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m128i upper = _mm_unpackhi_epi64(bytes, bytes);
  return {_mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))),
          _mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper)))};
}

// --- products ---

THAW_INLINE __m256i multiply_add(__m256i sums, __m256i w, __m256i q) {
  return _mm256_dpbusd_avx_epi32(sums, w, q);
}

// Sums stay in memory between groups: gcc would carry them in registers, of which there are too
// few, and keep them on the stack as well.
THAW_INLINE void leave_sums() { asm volatile("" ::: "memory"); }

// All kinds but q6k: eight steps onto sums that start at 1.5 * 2^23.
template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_whole(const Group<kKind, kExpanded>& group, const std::byte* x,
                                float* sums) {
  __m256i dots[kTokens][2];
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    dots[t][0] = kKind == Kind::kQ8 ? broadcast_word(x + 40 * kTokens + 4 * t)
                                    : _mm256_set1_epi32(kMagicBits);
    dots[t][1] = dots[t][0];
  }
  add_steps<kKind, kExpanded, kTokens>(group, x, 0, 8, dots);
  leave_sums();
  const Scales scales = group.scales();
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const __m256 s = broadcast_float(x + 32 * kTokens + 4 * t);
    const __m256 back = broadcast_float(x + 44 * kTokens + 4 * t);
    accumulate<has_minimum(kKind)>(_mm256_fmadd_ps(_mm256_castsi256_ps(dots[t][0]), s, back),
                                   _mm256_fmadd_ps(_mm256_castsi256_ps(dots[t][1]), s, back),
                                   x + 36 * kTokens + 4 * t, scales, sums + 16 * t);
  }
}

// q6k: each half's sum and its sub-scale are whole numbers whose products, and the sum of two of
// them, stay below 2^24, so float(I) is exact in floats.
template <bool kExpanded, int kTokens>
THAW_INLINE void multiply_halves(const Group<Kind::kQ6k, kExpanded>& group, const std::byte* x,
                                 float* sums) {
  __m256i dots[kTokens][2];
  alignas(32) __m256 first[kTokens][2];
  THAW_UNROLL
  for (int half = 0; half < 2; ++half) {
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      dots[t][0] = dots[t][1] = broadcast_word(x + (48 + 4 * half) * kTokens + 4 * t);
    }
    add_steps<Kind::kQ6k, kExpanded, kTokens>(group, x, 4 * half, 4 * half + 4, dots);
    if (half == 1) break;
    const Step factor = group.sub_scales_of_half(0);
    THAW_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      first[t][0] = _mm256_mul_ps(_mm256_cvtepi32_ps(dots[t][0]), _mm256_castsi256_ps(factor.low));
      first[t][1] = _mm256_mul_ps(_mm256_cvtepi32_ps(dots[t][1]), _mm256_castsi256_ps(factor.high));
    }
  }
  leave_sums();
  const Step factor = group.sub_scales_of_half(1);
  const __m256 low = _mm256_castsi256_ps(factor.low), high = _mm256_castsi256_ps(factor.high);
  const Scales scales = group.scales();
  THAW_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const __m256 s = broadcast_float(x + 32 * kTokens + 4 * t);
    const __m256 a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t][0]), low, first[t][0]);
    const __m256 b = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t][1]), high, first[t][1]);
    accumulate<false>(_mm256_mul_ps(a, s), _mm256_mul_ps(b, s), nullptr, scales, sums + 16 * t);
  }
}

template <Kind kKind, bool kExpanded, int kTokens>
THAW_INLINE void multiply_group(const std::byte* weights, std::size_t g, const std::byte* x,
                                float* sums) {
  const auto group = Group<kKind, kExpanded>::at(weights, g);
  if constexpr (kKind == Kind::kQ6k) {
    multiply_halves<kExpanded, kTokens>(group, x, sums);
  } else {
    multiply_whole<kKind, kExpanded, kTokens>(group, x, sums);
  }
}
