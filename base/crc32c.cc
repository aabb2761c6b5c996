#include "base/crc32c.h"

#include <array>

#include "base/crc32c_multiply.h"
#include "base/crc32c_powers.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define THAW_CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define THAW_CRC_TARGET __attribute__((target("+crc")))
#endif

namespace thaw {
namespace {

using internal::kCrcPolynomial;

using Table = std::array<std::uint32_t, 256>;

// tables[k][b]: the register after byte b and k zero bytes, so that eight bytes take eight
// independent look-ups ("slicing by eight").
constexpr std::array<Table, 8> make_slices() {
  std::array<Table, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrcPolynomial : 0);
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

#ifdef THAW_CRC_TARGET

// The instruction takes three cycles but one can start in each, so long inputs run as three streams
// side by side whose registers are joined afterwards.
constexpr std::size_t kLongStream = 8192;  // bytes; joining costs nothing beside them
constexpr std::size_t kShortStream = 256;  // bytes; still ahead of a single stream

// What a register becomes when a stream's length of zero bytes follows: linear in the register, so
// four tables, one for each of its bytes.
using Shift = std::array<Table, 4>;

constexpr Shift make_shift(std::size_t zero_bytes) {
  std::uint32_t power = internal::kCrcOne;
  for (std::size_t k = 0; zero_bytes >> k != 0; ++k) {
    if ((zero_bytes >> k & 1) != 0) power = internal::product(power, internal::kZeros[k]);
  }
  Shift shift{};
  for (std::size_t k = 0; k < 4; ++k) {
    for (std::uint32_t b = 0; b < 256; ++b) shift[k][b] = internal::product(power, b << (8 * k));
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

std::uint32_t crc32c_by([[maybe_unused]] Multiplier by, Bytes bytes, std::uint32_t before) {
#ifdef THAW_CRC_TARGET
  static const bool by_instruction = has_instruction();
  if (by_instruction) {
    const std::uint64_t crc = take_multiplied(by, static_cast<std::uint32_t>(~before), bytes);
    return crc32c_by_instruction(bytes, crc);
  }
#endif
  return crc32c_by_table(bytes, before);
}

std::uint32_t crc32c_followed_by_bits(std::uint32_t checksum, std::uint64_t zero_bytes) {
  for (std::size_t k = 0; zero_bytes != 0; ++k, zero_bytes >>= 1) {
    if ((zero_bytes & 1) != 0) checksum = product(kZeros[k], checksum);
  }
  return checksum;
}

}  // namespace internal

std::uint32_t crc32c_followed_by(std::uint32_t checksum, std::uint64_t zero_bytes) {
  static const bool multiplies = internal::widest_multiplier() != internal::Multiplier::kNone;
  return multiplies ? internal::followed_by_multiplied(checksum, zero_bytes)
                    : internal::crc32c_followed_by_bits(checksum, zero_bytes);
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
  static const internal::Multiplier widest = internal::widest_multiplier();
  return internal::crc32c_by(widest, bytes, before);
}

}  // namespace thaw
