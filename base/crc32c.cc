#include "base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)  // gcc 12's own intrinsics leave a vector undefined
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#define THAW_CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define THAW_CRC_TARGET __attribute__((target("+crc")))
#endif

namespace thaw {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // 0x1EDC6F41 with its bits reversed

using Table = std::array<std::uint32_t, 256>;

// tables[k][b]: the register after byte b and k zero bytes, so that eight bytes take eight
// independent look-ups ("slicing by eight").
constexpr std::array<Table, 8> make_slices() {
  std::array<Table, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint32_t crc = tables[k - 1][b];
      tables[k][b] = (crc >> 8) ^ tables[0][crc & 0xFF];
    }
  }
  return tables;
}
constexpr std::array<Table, 8> kSlices = make_slices();

// Polynomials modulo the checksum's, bits reversed: bit 31 is x^0. A checksum followed by n zero
// bytes is its product with x^(8 n).
constexpr std::uint32_t kOne = 0x80000000;
constexpr std::uint32_t times_x(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0);
}
constexpr std::uint32_t divided_by_x(std::uint32_t a) {
  return (a & kOne) != 0 ? ((a ^ kPolynomial) << 1) | 1 : a << 1;
}
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (int bit = 0; bit < 32; ++bit, a <<= 1, b = times_x(b)) {
    if ((a & kOne) != 0) sum ^= b;
  }
  return sum;
}

// [k]: x^(8 * 2^k), and the same over x^32.
struct Powers {
  std::array<std::uint32_t, 64> plain{};
  std::array<std::uint32_t, 64> lowered{};
};
constexpr Powers make_powers() {
  Powers powers;
  std::uint32_t power = kOne;
  for (int i = 0; i < 8; ++i) power = times_x(power);
  for (std::size_t k = 0; k < 64; ++k, power = product(power, power)) {
    powers.plain[k] = power;
    powers.lowered[k] = power;
    for (int i = 0; i < 32; ++i) powers.lowered[k] = divided_by_x(powers.lowered[k]);
  }
  return powers;
}
constexpr Powers kPowers = make_powers();

#if defined(__x86_64__)
// Reduces a product of 64 bits by the checksum's own instruction, which multiplies by x^32 as it
// does; the lowered powers make up for that.
__attribute__((target("sse4.2,pclmul"))) std::uint32_t followed_by_instruction(
    std::uint32_t checksum, std::uint64_t zero_bytes) {
  for (std::size_t k = 0; zero_bytes != 0; ++k, zero_bytes >>= 1) {
    if ((zero_bytes & 1) == 0) continue;
    const __m128i wide =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(checksum)),
                             _mm_cvtsi32_si128(static_cast<int>(kPowers.lowered[k])), 0);
    const auto bits = static_cast<std::uint64_t>(_mm_cvtsi128_si64(wide)) << 1;
    checksum = static_cast<std::uint32_t>(_mm_crc32_u64(0, bits));
  }
  return checksum;
}
#endif
#ifdef THAW_CRC_TARGET

// The instruction takes three cycles but one can start in each, so long inputs run as three streams
// side by side whose registers are joined afterwards.
constexpr std::size_t kLongStream = 8192;  // bytes; joining costs nothing beside them
constexpr std::size_t kShortStream = 256;  // bytes; still ahead of a single stream

// What a register becomes when a stream's length of zero bytes follows: linear in the register, so
// four tables, one for each of its bytes.
using Shift = std::array<Table, 4>;
using Matrix = std::array<std::uint32_t, 32>;  // column i: the image of bit i

constexpr std::uint32_t times(const Matrix& matrix, std::uint32_t vector) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; vector != 0; ++i, vector >>= 1) {
    if ((vector & 1) != 0) sum ^= matrix[i];
  }
  return sum;
}

constexpr Shift make_shift(std::size_t zero_bytes) {
  Matrix matrix{};  // one zero bit
  matrix[0] = kPolynomial;
  for (std::size_t i = 1; i < 32; ++i) matrix[i] = std::uint32_t{1} << (i - 1);
  // Squaring doubles the number of zeros; the lengths are powers of two.
  for (std::size_t bits = 1; bits < zero_bytes * 8; bits *= 2) {
    Matrix square{};
    for (std::size_t i = 0; i < 32; ++i) square[i] = times(matrix, matrix[i]);
    matrix = square;
  }
  Shift shift{};
  for (std::size_t k = 0; k < 4; ++k) {
    for (std::uint32_t b = 0; b < 256; ++b) shift[k][b] = times(matrix, b << (8 * k));
  }
  return shift;
}
constexpr Shift kLongShift = make_shift(kLongStream);
constexpr Shift kShortShift = make_shift(kShortStream);

std::uint64_t shifted(const Shift& shift, std::uint64_t crc) {
  return shift[0][crc & 0xFF] ^ shift[1][(crc >> 8) & 0xFF] ^ shift[2][(crc >> 16) & 0xFF] ^
         shift[3][(crc >> 24) & 0xFF];
}

THAW_CRC_TARGET inline std::uint64_t step8(std::uint64_t crc, const std::byte* from) {
#if defined(__x86_64__)
  return _mm_crc32_u64(crc, load<std::uint64_t>(from));
#else
  return __crc32cd(static_cast<std::uint32_t>(crc), load<std::uint64_t>(from));
#endif
}

THAW_CRC_TARGET inline std::uint64_t step1(std::uint64_t crc, const std::byte* from) {
#if defined(__x86_64__)
  return _mm_crc32_u8(static_cast<std::uint32_t>(crc), load<std::uint8_t>(from));
#else
  return __crc32cb(static_cast<std::uint32_t>(crc), load<std::uint8_t>(from));
#endif
}

// Takes three streams of `stream` bytes at a time off the front of `bytes`, while there are three.
THAW_CRC_TARGET std::uint64_t three_streams(std::uint64_t crc, Bytes& bytes, std::size_t stream,
                                            const Shift& shift) {
  while (bytes.size() >= 3 * stream) {
    const std::byte* from = bytes.data();
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < stream; i += 8) {
      crc = step8(crc, from + i);
      second = step8(second, from + stream + i);
      third = step8(third, from + 2 * stream + i);
    }
    crc = shifted(shift, crc) ^ second;
    crc = shifted(shift, crc) ^ third;
    bytes = bytes.subspan(3 * stream);
  }
  return crc;
}
THAW_CRC_TARGET std::uint32_t crc32c_by_instruction(Bytes bytes, std::uint64_t crc) {
  crc = three_streams(crc, bytes, kLongStream, kLongShift);
  crc = three_streams(crc, bytes, kShortStream, kShortShift);
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) crc = step8(crc, bytes.data());
  for (; !bytes.empty(); bytes = bytes.subspan(1)) crc = step1(crc, bytes.data());
  return ~static_cast<std::uint32_t>(crc);
}

#if defined(__x86_64__)

// Long inputs by carry-less multiplication, 256 bytes a step, where the processor multiplies eight
// 64-bit polynomials at once: twice to three times as fast as the instruction. Four registers of
// four 128-bit lanes each hold a polynomial congruent to all that went before; a step moves each by
// the bits of four registers and adds the bytes that lie there.
constexpr std::size_t kWideBytes = 256;

constexpr std::uint32_t x_to(int exponent) {
  std::uint32_t power = kOne;
  for (int i = 0; i < exponent; ++i) power = times_x(power);
  return power;
}

// What moves a lane by `bits`: its earlier half by 64 more than its later one. A product of two
// reversed polynomials of 64 bits is reversed in 127, which is one factor of x.
struct Move {
  std::uint64_t earlier, later;
};
constexpr Move move_by(int bits) {
  return {std::uint64_t{x_to(bits + 63)} << 32, std::uint64_t{x_to(bits - 1)} << 32};
}
constexpr Move kBy2048 = move_by(2048), kBy1536 = move_by(1536), kBy1024 = move_by(1024);
constexpr Move kBy512 = move_by(512), kBy384 = move_by(384), kBy256 = move_by(256);
constexpr Move kBy128 = move_by(128);

#define THAW_CRC_MIXED __attribute__((target("pclmul,sse4.2")))

THAW_CRC_MIXED inline __m128i constant(const Move& by) {
  return _mm_set_epi64x(static_cast<long long>(by.later), static_cast<long long>(by.earlier));
}

THAW_CRC_MIXED inline __m128i moved_onto(__m128i from, __m128i move, __m128i onto) {
  return _mm_xor_si128(onto, _mm_xor_si128(_mm_clmulepi64_si128(from, move, 0x00),
                                           _mm_clmulepi64_si128(from, move, 0x11)));
}

// Two words, the earlier one lower, as the instruction takes them.
THAW_CRC_MIXED inline std::uint64_t reduced(__m128i words) {
  const std::uint64_t crc = _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(words)));
  return _mm_crc32_u64(crc, static_cast<std::uint64_t>(_mm_extract_epi64(words, 1)));
}

#define THAW_CRC_WIDE __attribute__((target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")))

THAW_CRC_WIDE inline __m512i wide(const Move& by) { return _mm512_broadcast_i32x4(constant(by)); }

THAW_CRC_WIDE inline __m512i moved_onto(__m512i from, __m512i move, __m512i onto) {
  constexpr int kXorOfThree = 0x96;
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(from, move, 0x00),
                                   _mm512_clmulepi64_epi128(from, move, 0x11), onto, kXorOfThree);
}

THAW_CRC_WIDE inline __m512i line(Bytes bytes, std::size_t index) {
  return _mm512_loadu_si512(bytes.data() + 64 * index);
}

// Takes all whole steps off the front of `bytes`. Precondition: there is one.
THAW_CRC_WIDE std::uint64_t by_multiplication(std::uint64_t crc, Bytes& bytes) {
  const __m512i first = _mm512_zextsi128_si512(_mm_cvtsi64_si128(static_cast<long long>(crc)));
  __m512i a = _mm512_xor_si512(line(bytes, 0), first);
  __m512i b = line(bytes, 1);
  __m512i c = line(bytes, 2);
  __m512i d = line(bytes, 3);
  bytes = bytes.subspan(kWideBytes);
  const __m512i move = wide(kBy2048);
  for (; bytes.size() >= kWideBytes; bytes = bytes.subspan(kWideBytes)) {
    a = moved_onto(a, move, line(bytes, 0));
    b = moved_onto(b, move, line(bytes, 1));
    c = moved_onto(c, move, line(bytes, 2));
    d = moved_onto(d, move, line(bytes, 3));
  }
  d = moved_onto(c, wide(kBy512), d);
  d = moved_onto(b, wide(kBy1024), d);
  d = moved_onto(a, wide(kBy1536), d);
  __m128i last = _mm512_extracti32x4_epi32(d, 3);
  last = moved_onto(_mm512_extracti32x4_epi32(d, 2), constant(kBy128), last);
  last = moved_onto(_mm512_extracti32x4_epi32(d, 1), constant(kBy256), last);
  return reduced(moved_onto(_mm512_castsi512_si128(d), constant(kBy384), last));
}

// Where it multiplies one pair at a time, a third of each 24 KiB is multiplied, in four registers,
// and the instruction takes four streams through the rest: half as fast again as that alone.
constexpr std::size_t kMixedStream = 4096;  // bytes of each of four; what is multiplied has two
constexpr Shift kMixedShift = make_shift(kMixedStream);

THAW_CRC_MIXED inline __m128i line16(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// Eight bytes of each stream.
THAW_CRC_MIXED inline void step_streams(std::uint64_t (&sums)[4], const std::byte* from) {
  sums[0] = step8(sums[0], from);
  sums[1] = step8(sums[1], from + kMixedStream);
  sums[2] = step8(sums[2], from + 2 * kMixedStream);
  sums[3] = step8(sums[3], from + 3 * kMixedStream);
}

// Takes all whole pieces of six streams' length off the front of `bytes`.
THAW_CRC_MIXED std::uint64_t by_both(std::uint64_t crc, Bytes& bytes) {
  const __m128i move = constant(kBy512);
  for (; bytes.size() >= 6 * kMixedStream; bytes = bytes.subspan(6 * kMixedStream)) {
    const std::byte* from = bytes.data();
    const std::byte* streams = from + 2 * kMixedStream;
    __m128i a = _mm_xor_si128(line16(from), _mm_cvtsi64_si128(static_cast<long long>(crc)));
    __m128i b = line16(from + 16), c = line16(from + 32), d = line16(from + 48);
    std::uint64_t sums[4] = {};
    std::size_t i = 0;
    for (; i + 32 < kMixedStream; i += 32) {
      const std::byte* lines = from + 2 * (i + 32);
      a = moved_onto(a, move, line16(lines));
      step_streams(sums, streams + i);
      b = moved_onto(b, move, line16(lines + 16));
      step_streams(sums, streams + i + 8);
      c = moved_onto(c, move, line16(lines + 32));
      step_streams(sums, streams + i + 16);
      d = moved_onto(d, move, line16(lines + 48));
      step_streams(sums, streams + i + 24);
    }
    for (; i < kMixedStream; i += 8) step_streams(sums, streams + i);
    d = moved_onto(c, constant(kBy128), d);
    d = moved_onto(b, constant(kBy256), d);
    crc = reduced(moved_onto(a, constant(kBy384), d));
    for (const std::uint64_t sum : sums) crc = shifted(kMixedShift, crc) ^ sum;
  }
  return crc;
}

bool multiplies_pairs() { return __builtin_cpu_supports("pclmul") != 0; }

bool multiplies_wide() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("vpclmulqdq") != 0 && multiplies_pairs();
}

#endif  // __x86_64__
bool has_instruction() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("sse4.2") != 0;
#else
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

#endif  // THAW_CRC_TARGET

}  // namespace

namespace internal {

std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before) {
  std::uint32_t crc = ~before;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    const std::uint32_t low = crc ^ load<std::uint32_t>(bytes.data());
    const std::uint32_t high = load<std::uint32_t>(bytes.data() + 4);
    crc = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      crc ^= kSlices[7 - k][(low >> (8 * k)) & 0xFF] ^ kSlices[3 - k][(high >> (8 * k)) & 0xFF];
    }
  }
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kSlices[0][(crc ^ static_cast<std::uint32_t>(byte)) & 0xFF];
  }
  return ~crc;
}

std::uint32_t crc32c_without_wide(Bytes bytes, std::uint32_t before) {
#if defined(__x86_64__)
  if (has_instruction() && multiplies_pairs()) {
    const std::uint64_t crc = by_both(static_cast<std::uint32_t>(~before), bytes);
    return crc32c_by_instruction(bytes, crc);
  }
#endif
  return crc32c_without_multiplying(bytes, before);
}

std::uint32_t crc32c_without_multiplying(Bytes bytes, std::uint32_t before) {
#ifdef THAW_CRC_TARGET
  if (has_instruction()) return crc32c_by_instruction(bytes, static_cast<std::uint32_t>(~before));
#endif
  return crc32c_by_table(bytes, before);
}

std::uint32_t crc32c_followed_by_bits(std::uint32_t checksum, std::uint64_t zero_bytes) {
  for (std::size_t k = 0; zero_bytes != 0; ++k, zero_bytes >>= 1) {
    if ((zero_bytes & 1) != 0) checksum = product(kPowers.plain[k], checksum);
  }
  return checksum;
}

}  // namespace internal

std::uint32_t crc32c_followed_by(std::uint32_t checksum, std::uint64_t zero_bytes) {
#if defined(__x86_64__)
  static const bool multiplies = has_instruction() && multiplies_pairs();
  if (multiplies) return followed_by_instruction(checksum, zero_bytes);
#endif
  return internal::crc32c_followed_by_bits(checksum, zero_bytes);
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
#ifdef THAW_CRC_TARGET
  static const bool by_instruction = has_instruction();
  if (by_instruction) {
    std::uint64_t crc = static_cast<std::uint32_t>(~before);
#if defined(__x86_64__)
    static const bool wide = multiplies_wide();
    static const bool pairs = multiplies_pairs();
    if (wide && bytes.size() >= kWideBytes) {
      crc = by_multiplication(crc, bytes);
    } else if (pairs) {
      crc = by_both(crc, bytes);
    }
#endif
    return crc32c_by_instruction(bytes, crc);
  }
#endif
  return internal::crc32c_by_table(bytes, before);
}

}  // namespace thaw
