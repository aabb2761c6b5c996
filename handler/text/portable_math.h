// exp and log that give the same bits on every machine and with every C library: nothing here
// but additions, multiplications and divisions of doubles, each correctly rounded and in one order.
// Within 1e-15 of the true value, relatively.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace thaw::text {

// e to the x. Underflows to zero below about -708 (no denormal results), overflows to infinity.
inline double portable_exp(double x) {
  constexpr double kLog2E = 1.4426950408889634;
  // ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact.
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  if (!(x > -708.0)) return x != x ? x : 0.0;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  const double exponent = (x * kLog2E + kRounder) - kRounder;
  const double r = (x - exponent * kLn2High) - exponent * kLn2Low;  // |r| <= 0.35
  // Taylor's series; the first term left out is below 2^-60 of the sum.
  double sum = 1.0;
  for (int term = 14; term > 0; --term) sum = 1.0 + r / term * sum;
  const auto biased = static_cast<std::uint64_t>(static_cast<std::int64_t>(exponent) + 1023);
  return sum * std::bit_cast<double>(biased << 52);
}

// The natural logarithm. Precondition: x is finite, normal and positive.
inline double portable_log(double x) {
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFu) | 0x3FF0000000000000u);  // [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // ln m = 2 atanh(s): s is at most 0.172, so the first power left out is below 2^-62 of the sum.
  const double s = (m - 1.0) / (m + 1.0);
  const double square = s * s;
  double sum = 0.0;
  for (int power = 23; power > 0; power -= 2) sum = 1.0 / power + square * sum;
  const double e = exponent;
  return e * kLn2High + (2.0 * s * sum + e * kLn2Low);
}

}  // namespace thaw::text
