// Quantised matrix products of AVX2 without VNNI, around vpmaddubsw: u8 weights times s8
// activations, pairs added into 16 bits with saturation. No sum here can saturate or wrap:
//   q4, q4m, q4k  u <= 15: eight products' pairs are at most 8 * 2 * 15 * 127 = 30480
//   q5k           u <= 31: four are at most 4 * 2 * 31 * 127 = 31496, then widened to 32 bits
//   q6k           v <= 63: a sum starts at -32 * (the activations' pair sums), modulo 2^16; after
//                 four it is the sum of (v - 32) * q, at most 4 * 2 * 32 * 127 = 32512
//   q8            |w| <= 128 times q with w's sign: one pair is at most 2 * 128 * 127 = 32512, and
//                 each is widened
//
// A packed group ends, per token, with two s16 for each of its halves: -32 times the sums of the
// half's even and odd pairs.
inline constexpr std::size_t kTokenBlock = 4;
inline constexpr std::size_t kTilePanels = 1;
inline constexpr std::size_t kDirect = 4;  // tokens up to which weights expand in registers
// As many streams as Zen 3 reads best, and how far ahead it is asked to. Kinds with super-blocks
// have their scales two kilobytes behind the codes that want them first, so those are asked for
// from further ahead: about a block.
constexpr std::size_t direct_panels(Kind kind, std::size_t tokens) {
  if (tokens > 2) return 1;
  switch (kind) {
    case Kind::kQ4:
    case Kind::kQ4m:
    case Kind::kQ4k: return 4;
    case Kind::kQ5k:
    case Kind::kQ8: return 2;
    default: return 1;
  }
}
template <>
inline constexpr std::size_t kPrefetchBytes<Kind::kQ4k> = 2560;
template <>
inline constexpr std::size_t kPrefetchBytes<Kind::kQ5k> = 2816;
template <>
inline constexpr std::size_t kPrefetchBytes<Kind::kQ6k> = 4096;
inline constexpr std::size_t kDirectFloat = 4;
// Up to so many tokens, unpacking anew for each four costs less than expanding once: most of it
// hides behind the products, where expanding q4 costs as much as the products of 4.5 tokens.
template <Kind kKind>
inline constexpr std::size_t kInPlaceTokens =
    kKind == Kind::kQ4 || kKind == Kind::kQ4m ? 32 : kKind == Kind::kQ5k ? 0 : 12;

constexpr std::size_t packed_group_bytes(std::size_t tokens) { return 48 * tokens; }

// --- activations ---

THAW_INLINE void pack_group(const float* x, std::byte* group, std::size_t tokens,
                            std::size_t token) {
  const Quantised quantised = quantise_group(x);
  // Every dword of a 128-bit lane gets the two pair sums of that half.
  __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), quantised.q);
  pairs = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, _MM_SHUFFLE(1, 0, 3, 2)));
  pairs = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, _MM_SHUFFLE(2, 3, 0, 1)));
  const __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  const __m256i starts = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(pairs, 5));
  const int sum = _mm256_extract_epi32(sums, 0) + _mm256_extract_epi32(sums, 4);
  store_quantised(quantised, sum, group, tokens, token);
  std::byte* to = group + 4 * token;
  thaw::store(to + 40 * tokens, _mm256_extract_epi32(starts, 0));
  thaw::store(to + 44 * tokens, _mm256_extract_epi32(starts, 4));
}

// --- weights ---

THAW_INLINE Step bytes_of_step(Step w) { return w; }

// q6k's sub-scales of one half as pairs of s16, one pair a row.
THAW_INLINE Step sub_scale_factors(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m256i words = _mm256_cvtepi8_epi16(bytes);
  const __m256i a = _mm256_unpacklo_epi16(words, words), b = _mm256_unpackhi_epi16(words, words);
  return {_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)};
}

// --- products ---

THAW_INLINE __m256i multiply_add(__m256i sums, __m256i w, __m256i q) {
  return _mm256_add_epi16(sums, _mm256_maddubs_epi16(w, q));
}

// One token's group from its 32-bit dots.
template <bool kMinimum>
THAW_INLINE void finish_token(__m256i low, __m256i high, const std::byte* s, const std::byte* g,
                              const Scales& scales, float* sums) {
  const __m256 factor = broadcast_float(s);
  accumulate<kMinimum>(_mm256_mul_ps(_mm256_cvtepi32_ps(low), factor),
                       _mm256_mul_ps(_mm256_cvtepi32_ps(high), factor), g, scales, sums);
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
