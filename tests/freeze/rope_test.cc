#include "handler/freeze/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace thaw::freeze {
namespace {

using Type = RopeScaling::Type;

// Radians per position of a pair.
double frequency(const Rope& rope, std::size_t pair) {
  return std::ldexp(static_cast<double>(rope.turns[pair]), -64) * 2 * std::numbers::pi;
}

TEST(MakeRope, PlainFrequenciesFallGeometrically) {
  const auto rope = make_rope(64, 10000, {}, {});
  ASSERT_TRUE(rope);
  ASSERT_EQ(rope->turns.size(), 32u);
  EXPECT_EQ(rope->factor, 1);
  for (std::size_t pair = 0; pair < 32; ++pair) {
    const double want = std::pow(10000.0, -2.0 * static_cast<double>(pair) / 64);
    EXPECT_NEAR(frequency(*rope, pair) / want, 1, 1e-12) << pair;
  }
}

TEST(MakeRope, LinearDividesEveryFrequency) {
  const auto plain = make_rope(32, 500, {}, {});
  RopeScaling scaling;
  scaling.type = Type::kLinear;
  scaling.factor = 4;
  const auto rope = make_rope(32, 500, scaling, {});
  for (std::size_t pair = 0; pair < 16; ++pair) {
    EXPECT_NEAR(frequency(*rope, pair) * 4, frequency(*plain, pair), 1e-12);
  }
}

TEST(MakeRope, Llama3KeepsFastPairsAndStretchesSlowOnes) {
  RopeScaling scaling;
  scaling.type = Type::kLlama3;
  scaling.factor = 8;
  scaling.original_context = 8192;
  const auto plain = make_rope(128, 500000, {}, {});
  const auto rope = make_rope(128, 500000, scaling, {});
  EXPECT_EQ(rope->turns.front(), plain->turns.front());
  EXPECT_NEAR(frequency(*rope, 63) * 8, frequency(*plain, 63), 1e-12);
  for (std::size_t pair = 0; pair < 64; ++pair) {
    EXPECT_LE(rope->turns[pair], plain->turns[pair]);
    EXPECT_GE(frequency(*rope, pair) * 8, frequency(*plain, pair) * (1 - 1e-12));
  }
}

TEST(MakeRope, YarnRampsBetweenAndScalesAttention) {
  RopeScaling scaling;
  scaling.type = Type::kYarn;
  scaling.factor = 40;
  scaling.original_context = 4096;
  const auto plain = make_rope(64, 10000, {}, {});
  const auto rope = make_rope(64, 10000, scaling, {});
  EXPECT_EQ(rope->turns.front(), plain->turns.front());
  EXPECT_NEAR(frequency(*rope, 31) * 40, frequency(*plain, 31), 1e-12);
  EXPECT_NEAR(rope->factor, 1.36888, 1e-5);  // 0.1 * ln(40) + 1
  scaling.attention_factor = 1.0;
  EXPECT_EQ(make_rope(64, 10000, scaling, {})->factor, 1);
}

TEST(MakeRope, DivisorsDividePairByPair) {
  const float divisors[] = {1, 2, 4, 8};
  const auto plain = make_rope(8, 10000, {}, {});
  const auto rope = make_rope(8, 10000, {}, divisors);
  for (std::size_t pair = 0; pair < 4; ++pair) {
    EXPECT_NEAR(frequency(*rope, pair) * divisors[pair], frequency(*plain, pair), 1e-12);
  }
}

TEST(MakeRope, RefusesNumbersThatMakeNoRope) {
  RopeScaling zero;
  zero.factor = 0;
  RopeScaling no_context;
  no_context.type = Type::kYarn;
  RopeScaling upside_down;
  upside_down.type = Type::kLlama3;
  upside_down.original_context = 8192;
  upside_down.low_frequency_factor = 4;
  upside_down.high_frequency_factor = 1;
  const float three[] = {1, 1, 1};
  const float negative[] = {1, 1, 1, -1};
  EXPECT_EQ(make_rope(8, 1, {}, {}).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, NAN, {}, {}).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, 1e4, zero, {}).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, 1e4, no_context, {}).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, 1e4, upside_down, {}).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, 1e4, {}, three).error().code, Code::kCorrupt);
  EXPECT_EQ(make_rope(8, 1e4, {}, negative).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace thaw::freeze
