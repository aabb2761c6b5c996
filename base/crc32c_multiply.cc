#include "base/crc32c_multiply.h"

#include "base/check.h"

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)  // gcc 12's own intrinsics leave a vector undefined
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <algorithm>
#include <array>

#include "base/crc32c_powers.h"

namespace thaw::internal {
namespace {

#define THAW_CRC_ONE __attribute__((target("pclmul,sse4.2")))
#define THAW_CRC_TWO __attribute__((target("avx2,vpclmulqdq,pclmul,sse4.2")))
#define THAW_CRC_FOUR __attribute__((target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")))

// What moves a pair of words by `bits`: the earlier one by 64 more than the later one. A product of
// two reversed polynomials of 64 bits is reversed in 127, which is one factor of x.
struct Move {
  std::uint64_t earlier, later;
};
template <int kBits>
constexpr Move kMove = {std::uint64_t{x_to(kBits + 63)} << 32,
                        std::uint64_t{x_to(kBits - 1)} << 32};

THAW_CRC_ONE inline __m128i pair(const Move& by) {
  return _mm_set_epi64x(static_cast<long long>(by.later), static_cast<long long>(by.earlier));
}

THAW_CRC_ONE inline __m128i moved_onto(__m128i from, __m128i move, __m128i onto) {
  return _mm_xor_si128(onto, _mm_xor_si128(_mm_clmulepi64_si128(from, move, 0x00),
                                           _mm_clmulepi64_si128(from, move, 0x11)));
}

// Two words, the earlier one lower, as the instruction takes them.
THAW_CRC_ONE inline std::uint64_t reduced(__m128i words) {
  const std::uint64_t crc = _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(words)));
  return _mm_crc32_u64(crc, static_cast<std::uint64_t>(_mm_extract_epi64(words, 1)));
}

// The product with a power of x that is lowered(), since the instruction reduces it.
THAW_CRC_ONE inline std::uint64_t followed_by(std::uint64_t checksum, std::uint32_t power) {
  const __m128i wide = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(checksum)),
                                            _mm_cvtsi32_si128(static_cast<int>(power)), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(wide)) << 1);
}

constexpr std::size_t kStreamMax = 4096;
constexpr std::size_t kLeastStep = 32;
constexpr std::size_t kStreamLeast = 4 * kLeastStep;

// [n]: what a checksum is multiplied with when n least steps of zeros follow; for followed_by().
constexpr auto kLoweredSteps = [] {
  std::array<std::uint32_t, kStreamMax / kLeastStep + 1> powers{};
  powers[0] = lowered(kCrcOne);
  for (std::size_t n = 1; n < powers.size(); ++n) {
    powers[n] = product(powers[n - 1], kZeros[5]);
  }
  return powers;
}();
static_assert(kLeastStep == 1 << 5);

constexpr auto kLoweredZeros = [] {
  auto powers = kZeros;
  for (std::uint32_t& power : powers) power = lowered(power);
  return powers;
}();

// Words [0, kWords) of each of four streams.
template <std::size_t kWords>
THAW_CRC_ONE __attribute__((always_inline)) inline void step_streams(std::uint64_t (&sums)[4],
                                                                     const std::byte* from,
                                                                     std::size_t stream) {
  if constexpr (kWords > 1) step_streams<kWords - 1>(sums, from, stream);
  const std::byte* word = from + 8 * (kWords - 1);
  sums[0] = _mm_crc32_u64(sums[0], load<std::uint64_t>(word));
  sums[1] = _mm_crc32_u64(sums[1], load<std::uint64_t>(word + stream));
  sums[2] = _mm_crc32_u64(sums[2], load<std::uint64_t>(word + 2 * stream));
  sums[3] = _mm_crc32_u64(sums[3], load<std::uint64_t>(word + 3 * stream));
}

namespace one {

using Lanes = __m128i;
constexpr int kPairs = 1;

THAW_CRC_ONE inline Lanes lanes_at(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
THAW_CRC_ONE inline Lanes everywhere(const Move& by) { return pair(by); }
THAW_CRC_ONE inline Lanes begun_with(std::uint64_t crc, Lanes lanes) {
  return _mm_xor_si128(lanes, _mm_cvtsi64_si128(static_cast<long long>(crc)));
}
THAW_CRC_ONE inline __m128i joined(Lanes lanes) { return lanes; }

#define THAW_CRC_HERE THAW_CRC_ONE
#include "base/crc32c_streams-inl.h"
#undef THAW_CRC_HERE

}  // namespace one

namespace two {

using Lanes = __m256i;
constexpr int kPairs = 2;

THAW_CRC_TWO inline Lanes lanes_at(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
THAW_CRC_TWO inline Lanes everywhere(const Move& by) {
  return _mm256_broadcastsi128_si256(pair(by));
}
THAW_CRC_TWO inline Lanes begun_with(std::uint64_t crc, Lanes lanes) {
  const __m128i before = _mm_cvtsi64_si128(static_cast<long long>(crc));
  return _mm256_xor_si256(lanes, _mm256_zextsi128_si256(before));
}
THAW_CRC_TWO inline Lanes moved_onto(Lanes from, Lanes move, Lanes onto) {
  return _mm256_xor_si256(onto, _mm256_xor_si256(_mm256_clmulepi64_epi128(from, move, 0x00),
                                                 _mm256_clmulepi64_epi128(from, move, 0x11)));
}
THAW_CRC_TWO inline __m128i joined(Lanes lanes) {
  return internal::moved_onto(_mm256_castsi256_si128(lanes), pair(kMove<128>),
                              _mm256_extracti128_si256(lanes, 1));
}

#define THAW_CRC_HERE THAW_CRC_TWO
#include "base/crc32c_streams-inl.h"
#undef THAW_CRC_HERE

}  // namespace two

namespace four {

// Eight polynomials at once leave nothing for the instruction to help with. Four registers of four
// pairs each hold a polynomial congruent to all that went before; a step moves each by the bits of
// four registers and adds the bytes that lie there.
constexpr std::size_t kStepBytes = 256;

THAW_CRC_FOUR inline __m512i everywhere(const Move& by) { return _mm512_broadcast_i32x4(pair(by)); }

THAW_CRC_FOUR inline __m512i moved_onto(__m512i from, __m512i move, __m512i onto) {
  constexpr int kXorOfThree = 0x96;
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(from, move, 0x00),
                                   _mm512_clmulepi64_epi128(from, move, 0x11), onto, kXorOfThree);
}

THAW_CRC_FOUR inline __m512i line(Bytes bytes, std::size_t index) {
  return _mm512_loadu_si512(bytes.data() + 64 * index);
}

THAW_CRC_FOUR std::uint64_t take(std::uint64_t crc, Bytes& bytes) {
  if (bytes.size() < kStepBytes) return crc;
  const __m512i first = _mm512_zextsi128_si512(_mm_cvtsi64_si128(static_cast<long long>(crc)));
  __m512i a = _mm512_xor_si512(line(bytes, 0), first);
  __m512i b = line(bytes, 1);
  __m512i c = line(bytes, 2);
  __m512i d = line(bytes, 3);
  bytes = bytes.subspan(kStepBytes);
  const __m512i move = everywhere(kMove<2048>);
  for (; bytes.size() >= kStepBytes; bytes = bytes.subspan(kStepBytes)) {
    a = moved_onto(a, move, line(bytes, 0));
    b = moved_onto(b, move, line(bytes, 1));
    c = moved_onto(c, move, line(bytes, 2));
    d = moved_onto(d, move, line(bytes, 3));
  }
  d = moved_onto(c, everywhere(kMove<512>), d);
  d = moved_onto(b, everywhere(kMove<1024>), d);
  d = moved_onto(a, everywhere(kMove<1536>), d);
  const __m128i pairs[] = {_mm512_castsi512_si128(d), _mm512_extracti32x4_epi32(d, 1),
                           _mm512_extracti32x4_epi32(d, 2), _mm512_extracti32x4_epi32(d, 3)};
  __m128i last = internal::moved_onto(pairs[2], pair(kMove<128>), pairs[3]);
  last = internal::moved_onto(pairs[1], pair(kMove<256>), last);
  return reduced(internal::moved_onto(pairs[0], pair(kMove<384>), last));
}

}  // namespace four
}  // namespace

Multiplier widest_multiplier() {
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul")) {
    return Multiplier::kNone;
  }
  if (!__builtin_cpu_supports("vpclmulqdq")) return Multiplier::kOne;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
    return Multiplier::kFour;
  }
  return __builtin_cpu_supports("avx2") ? Multiplier::kTwo : Multiplier::kOne;
}

std::uint64_t take_multiplied(Multiplier by, std::uint64_t crc, Bytes& bytes) {
  switch (by) {
    case Multiplier::kNone: break;
    case Multiplier::kOne: return one::take(crc, bytes);
    case Multiplier::kTwo: return two::take(crc, bytes);
    case Multiplier::kFour: return four::take(crc, bytes);
  }
  return crc;
}

THAW_CRC_ONE std::uint32_t followed_by_multiplied(std::uint32_t checksum,
                                                  std::uint64_t zero_bytes) {
  std::uint64_t crc = checksum;
  for (std::size_t k = 0; zero_bytes != 0; ++k, zero_bytes >>= 1) {
    if ((zero_bytes & 1) != 0) crc = followed_by(crc, kLoweredZeros[k]);
  }
  return static_cast<std::uint32_t>(crc);
}

}  // namespace thaw::internal

#else

namespace thaw::internal {

Multiplier widest_multiplier() { return Multiplier::kNone; }

std::uint64_t take_multiplied(Multiplier by, std::uint64_t crc, Bytes&) {
  THAW_CHECK(by == Multiplier::kNone);
  return crc;
}

std::uint32_t followed_by_multiplied(std::uint32_t, std::uint64_t) { THAW_CHECK(false); }

}  // namespace thaw::internal

#endif
