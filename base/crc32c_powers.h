// Powers of x modulo CRC-32C's polynomial, at compile time. Internal to crc32c.cc and
// crc32c_multiply.cc. Bits are reversed: bit 31 is x^0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace thaw::internal {

inline constexpr std::uint32_t kCrcPolynomial = 0x82F63B78;  // 0x1EDC6F41 with its bits reversed
inline constexpr std::uint32_t kCrcOne = 0x80000000;

constexpr std::uint32_t times_x(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1) != 0 ? kCrcPolynomial : 0);
}
constexpr std::uint32_t divided_by_x(std::uint32_t a) {
  return (a & kCrcOne) != 0 ? ((a ^ kCrcPolynomial) << 1) | 1 : a << 1;
}
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (int bit = 0; bit < 32; ++bit, a <<= 1, b = times_x(b)) {
    if ((a & kCrcOne) != 0) sum ^= b;
  }
  return sum;
}
constexpr std::uint32_t x_to(int exponent) {
  std::uint32_t power = kCrcOne;
  for (int i = 0; i < exponent; ++i) power = times_x(power);
  return power;
}
// What the checksum's instruction, which multiplies by x^32, makes `a` of.
constexpr std::uint32_t lowered(std::uint32_t a) {
  for (int i = 0; i < 32; ++i) a = divided_by_x(a);
  return a;
}

// A checksum followed by n zero bytes is its product with x^(8 n). [k]: n = 2^k.
inline constexpr std::array<std::uint32_t, 64> kZeros = [] {
  std::array<std::uint32_t, 64> powers{};
  powers[0] = x_to(8);
  for (std::size_t k = 1; k < powers.size(); ++k) powers[k] = product(powers[k - 1], powers[k - 1]);
  return powers;
}();

}  // namespace thaw::internal
