// exp, cos and sin, norms and silu of the scalar set against float64.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/scalar.h"

namespace thaw::kernels {
namespace {

constexpr std::uint64_t kSeed = 11;
constexpr double kRounding = 0x1p-24;  // the relative error of one rounding

// The distance of neighbouring f32 at |v|.
double ulp_at(double v) {
  int exponent = 0;
  std::frexp(v, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, -149));
}

float exp_of(float x) {
  float y = 0;
  scalar_set().exp(&x, &y, 1);
  return y;
}

TEST(Exp, IsWithinOneUlpOfFloat64EverywhereAndDenormalsToo) {
  std::vector<float> x;
  for (std::uint32_t bits = 0; bits < 0x42d10000u; bits += 1009) {  // 0 .. 104.5
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  std::vector<float> y(x.size());
  scalar_set().exp(x.data(), y.data(), x.size());
  std::size_t denormal = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double wanted = std::exp(double{x[i]});
    if (wanted > 0x1.ffffffp+127) {  // rounds to infinity
      ASSERT_TRUE(std::isinf(y[i])) << x[i];
      continue;
    }
    denormal += y[i] > 0 && y[i] < 0x1p-126f;
    ASSERT_LE(std::fabs(y[i] - wanted), ulp_at(wanted)) << x[i];
  }
  EXPECT_GT(denormal, 1000u);
}

TEST(Exp, KnowsItsEnds) {
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-0.0f), 1.0f);
  EXPECT_EQ(exp_of(INFINITY), INFINITY);
  EXPECT_EQ(exp_of(0x1p+127f), INFINITY);
  EXPECT_EQ(exp_of(-INFINITY), 0.0f);
  EXPECT_EQ(exp_of(-0x1p+127f), 0.0f);
  EXPECT_FALSE(std::signbit(exp_of(-INFINITY)));
  EXPECT_TRUE(std::isnan(exp_of(NAN)));
  EXPECT_TRUE(std::isfinite(exp_of(0x1.62e42ep+6f)));  // the last below the overflow
  EXPECT_EQ(exp_of(0x1.62e432p+6f), INFINITY);
  EXPECT_EQ(exp_of(-0x1.9fe368p+6f), 0x1p-149f);  // the last that is not zero
  EXPECT_EQ(exp_of(-0x1.9fe36ap+6f), 0.0f);
  EXPECT_EQ(exp_of(0x1p-149f), 1.0f);
}

TEST(Exp, NeverDecreases) {
  float before = 0;
  for (float x = -105; x < 90; x += 0.001f) {
    const float now = exp_of(x);
    ASSERT_GE(now, before) << x;
    before = now;
  }
}

// cos and sin of a phase in float64, with the quarters taken out before anything rounds.
std::array<double, 2> exact_cos_sin(std::uint32_t phase) {
  const std::uint32_t quarter = (phase + (1u << 29)) >> 30;
  const auto rest = static_cast<std::int32_t>(phase - (quarter << 30));
  const double z = rest * (std::numbers::pi / 2) * 0x1p-30;
  const double c = std::cos(z);
  const double s = std::sin(z);
  switch (quarter % 4) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

TEST(CosSin, AreWithinTwoUlpOfTheResultAllAround) {
  std::vector<std::uint32_t> phases;
  for (std::uint64_t phase = 0; phase < 1ull << 32; phase += 2003) {
    phases.push_back(static_cast<std::uint32_t>(phase));
  }
  for (std::uint32_t eighth = 0; eighth < 8; ++eighth) {  // where quarters meet, and tiny angles
    for (std::uint32_t near = 0; near < 3000; ++near) {
      phases.push_back((eighth << 29) + near);
      phases.push_back((eighth << 29) - near);
    }
  }
  std::vector<float> cosine(phases.size());
  std::vector<float> sine(phases.size());
  cos_sin(phases, cosine.data(), sine.data());
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const auto [c, s] = exact_cos_sin(phases[i]);
    ASSERT_LE(std::fabs(cosine[i] - c), 2 * ulp_at(c)) << phases[i];
    ASSERT_LE(std::fabs(sine[i] - s), 2 * ulp_at(s)) << phases[i];
  }
}

TEST(CosSin, AreExactAtTheQuarters) {
  const std::uint32_t phases[] = {0, 1u << 30, 2u << 30, 3u << 30};
  float cosine[4];
  float sine[4];
  cos_sin(phases, cosine, sine);
  const float wanted_cosine[] = {1, 0, -1, 0};
  const float wanted_sine[] = {0, 1, 0, -1};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(cosine[i], wanted_cosine[i]);
    EXPECT_EQ(sine[i], wanted_sine[i]);
  }
}

TEST(CosSin, GoldenBits) {
  const std::uint32_t phases[] = {1, 0x12345678, 0x20000000, 0x9abcdef0, 0xffffffff};
  float cosine[5];
  float sine[5];
  cos_sin(phases, cosine, sine);
  std::array<std::uint32_t, 10> bits;
  for (std::size_t i = 0; i < 5; ++i) {
    bits[2 * i] = std::bit_cast<std::uint32_t>(cosine[i]);
    bits[2 * i + 1] = std::bit_cast<std::uint32_t>(sine[i]);
  }
  const std::array<std::uint32_t, 10> wanted = {0x3f800000u, 0x30c90fdbu, 0x3f66de7fu, 0x3edd3a58u,
                                                0x3f3504f3u, 0x3f3504f2u, 0xbf4ad37eu, 0xbf1c3279u,
                                                0x3f800000u, 0xb0c90fdbu};
  EXPECT_EQ(bits, wanted);
}

TEST(Phase, WrapsAsTheWholeProductWould) {
  Random random(kSeed);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t turns = random.next();
    const auto position = static_cast<std::uint32_t>(random.next());
    const auto wide = static_cast<unsigned __int128>(turns) * position;
    EXPECT_EQ(phase_at(turns, position), static_cast<std::uint32_t>(wide >> 32));
  }
}

TEST(RmsNorm, IsFloat64sWithinItsRoundings) {
  Random random(kSeed);
  for (const std::size_t n : {1, 2, 15, 16, 17, 64, 576, 4096}) {
    const std::vector<float> x = random.floats(n);
    const std::vector<float> weight = random.floats(n);
    std::vector<float> y(n);
    scalar_set().rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
    double squares = 0;
    for (const float v : x) squares += double{v} * v;
    const double r = 1 / std::sqrt(squares / static_cast<double>(n) + double{1e-5f});
    // Each square passes through ceil(n/16) fmas and 4 sums; mean, epsilon; half of that by the
    // root, whose result, like the quotient and two products, rounds once.
    const double roundings = (static_cast<double>((n + 15) / 16) + 4 + 2) / 2 + 4;
    for (std::size_t i = 0; i < n; ++i) {
      const double wanted = x[i] * r * weight[i];
      EXPECT_LE(std::fabs(y[i] - wanted), std::fabs(wanted) * roundings * kRounding * 1.001) << n;
    }
  }
}

TEST(Silu, IsFloat64sWithinItsRoundings) {
  for (float gate = -30; gate < 30; gate += 0.01f) {
    const float up = 0.75f;
    float y = 0;
    scalar_set().silu_mul(&gate, &up, &y, 1);
    const double wanted = gate / (1 + std::exp(-double{gate})) * up;
    // exp within an ulp (two roundings), then sum, quotient, product.
    EXPECT_LE(std::fabs(y - wanted), std::fabs(wanted) * 5 * kRounding * 1.001) << gate;
  }
}

TEST(Silu, KnowsItsEnds) {
  const float up = 2;
  const auto silu = [&](float gate) {
    float y = 0;
    scalar_set().silu_mul(&gate, &up, &y, 1);
    return y;
  };
  EXPECT_EQ(silu(1000), 2000.0f);
  EXPECT_EQ(silu(-1000), 0.0f);
  EXPECT_EQ(silu(0), 0.0f);
  EXPECT_TRUE(std::isnan(silu(NAN)));
  EXPECT_TRUE(std::isnan(silu(-INFINITY)));  // -inf / inf
}

TEST(Rope, TurnsAndKeepsLengths) {
  Random random(kSeed);
  const std::size_t pairs = 32;
  for (const bool interleaved : {false, true}) {
    const std::vector<float> x = random.floats(2 * pairs);
    std::vector<std::uint32_t> phases(pairs);
    for (std::uint32_t& phase : phases) phase = static_cast<std::uint32_t>(random.next());
    std::vector<float> cosine(pairs);
    std::vector<float> sine(pairs);
    cos_sin(phases, cosine.data(), sine.data());
    std::vector<float> y = x;
    scalar_set().rope(y.data(), cosine.data(), sine.data(), pairs, interleaved);
    for (std::size_t i = 0; i < pairs; ++i) {
      const std::size_t first = interleaved ? 2 * i : i;
      const std::size_t second = interleaved ? 2 * i + 1 : pairs + i;
      const double a = x[first];
      const double b = x[second];
      const auto [c, s] = exact_cos_sin(phases[i]);
      // cos and sin within 2 ulp (four roundings), a product and a sum.
      const double bound = (std::fabs(a) + std::fabs(b)) * 6 * kRounding;
      EXPECT_LE(std::fabs(y[first] - (a * c - b * s)), bound);
      EXPECT_LE(std::fabs(y[second] - (a * s + b * c)), bound);
    }
  }
}

}  // namespace
}  // namespace thaw::kernels
