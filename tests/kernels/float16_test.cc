#include "kernels/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace thaw::kernels {
namespace {

constexpr std::uint64_t kSeed = 7;

// The value of a pattern by the definition of the format: sign * fraction * 2^exponent. For
// infinity it gives what the next step of the scale would be.
double by_definition(unsigned bits, int exponent_bits, int fraction_bits) {
  const unsigned fraction = bits & ((1u << fraction_bits) - 1);
  const int exponent = static_cast<int>(bits >> fraction_bits & ((1u << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = bits >> (exponent_bits + fraction_bits) != 0 ? -1.0 : 1.0;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
}

double f16_by_definition(unsigned bits) { return by_definition(bits, 5, 10); }
double bf16_by_definition(unsigned bits) { return by_definition(bits, 8, 7); }

// The pattern nearest to |v| by search over all magnitudes up to infinity's; ties to the even one.
unsigned nearest(double v, unsigned infinity, double (*value)(unsigned)) {
  unsigned low = 0;
  unsigned high = infinity;
  v = std::fabs(v);
  if (v >= value(infinity)) return infinity;
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (value(middle) <= v ? low : high) = middle;
  }
  const double below = v - value(low);
  const double above = value(high) - v;
  if (below != above) return below < above ? low : high;
  return low % 2 == 0 ? low : high;
}

// Values where rounding is decided: everywhere, around every f16 or bf16 and every midpoint.
std::vector<float> inputs(double (*value)(unsigned), unsigned infinity, unsigned step) {
  std::vector<float> all;
  for (unsigned bits = 0; bits < infinity; bits += step) {
    const auto here = static_cast<float>(value(bits));
    const auto middle = static_cast<float>((value(bits) + value(bits + 1)) / 2);
    for (const float v : {here, middle}) {
      for (const float near : {v, std::nextafter(v, INFINITY), std::nextafter(v, -INFINITY)}) {
        all.push_back(near);
        all.push_back(-near);
      }
    }
  }
  Random random(kSeed);
  for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 200; ++i) {
      const auto bits = static_cast<std::uint32_t>(random.next());
      all.push_back(std::bit_cast<float>((bits & 0x807fffffu) | exponent << 23));
    }
  }
  return all;
}

TEST(Float16, F16ToF32IsTheDefinitionForEveryPattern) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float found = f16_to_f32(static_cast<std::uint16_t>(bits));
    if ((bits & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(found)) << bits;
    } else if ((bits & 0x7fff) == 0x7c00) {
      EXPECT_EQ(found, bits == 0x7c00 ? INFINITY : -INFINITY);
    } else {
      EXPECT_EQ(double{found}, f16_by_definition(bits)) << bits;
      EXPECT_EQ(std::signbit(found), bits >> 15 != 0) << bits;
    }
  }
}

TEST(Float16, EveryF16ComesBack) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const std::uint16_t back = f32_to_f16(f16_to_f32(half));
    if ((bits & 0x7fff) > 0x7c00) {
      EXPECT_GT(back & 0x7fff, 0x7c00) << bits;
    } else {
      EXPECT_EQ(back, half);
    }
  }
}

TEST(Float16, F32ToF16IsTheNearestByEvenTies) {
  for (const float v : inputs(f16_by_definition, 0x7c00, 1)) {
    const unsigned wanted = nearest(v, 0x7c00, f16_by_definition) | (std::signbit(v) ? 0x8000 : 0);
    ASSERT_EQ(f32_to_f16(v), wanted) << v;
    const unsigned clamped = (wanted & 0x7fff) == 0x7c00 ? wanted - 1 : wanted;
    ASSERT_EQ(f32_to_f16_clamped(v), clamped) << v;
  }
}

// What this compiler itself takes for f16, where it has the type.
#if defined(__aarch64__)
#define THAW_COMPILERS_F16 __fp16
#elif defined(__x86_64__) && !defined(__clang__)
#define THAW_COMPILERS_F16 _Float16
#endif

#ifdef THAW_COMPILERS_F16
TEST(Float16, F32ToF16IsTheCompilers) {
  for (const float v : inputs(f16_by_definition, 0x7c00, 3)) {
    ASSERT_EQ(f32_to_f16(v), std::bit_cast<std::uint16_t>(static_cast<THAW_COMPILERS_F16>(v))) << v;
  }
}
#endif

TEST(Float16, InfinityClampsAndNanStays) {
  EXPECT_EQ(f32_to_f16(INFINITY), 0x7c00);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xfc00);
  EXPECT_EQ(f32_to_f16_clamped(INFINITY), 0x7bff);
  EXPECT_EQ(f32_to_f16_clamped(-INFINITY), 0xfbff);
  // Payloads too low or too high for the format must not turn NaN into infinity.
  for (const std::uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0x7fc00000u}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan)))) << bits;
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16_clamped(nan)))) << bits;
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan)))) << bits;
  }
}

TEST(Float16, Bf16IsTheUpperHalfOfF32) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = bf16_to_f32(half);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(value), bits << 16);
    if (std::isnan(value)) continue;
    EXPECT_EQ(f32_to_bf16(value), half);
  }
}

TEST(Float16, F32ToBf16IsTheNearestByEvenTies) {
  for (const float v : inputs(bf16_by_definition, 0x7f80, 1)) {
    if (std::isinf(v)) continue;
    const unsigned wanted = nearest(v, 0x7f80, bf16_by_definition) | (std::signbit(v) ? 0x8000 : 0);
    ASSERT_EQ(f32_to_bf16(v), wanted) << v;
  }
  EXPECT_EQ(f32_to_bf16(INFINITY), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-INFINITY), 0xff80);
}

}  // namespace
}  // namespace thaw::kernels
