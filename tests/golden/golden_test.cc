#include <gtest/gtest.h>

#include <cstring>

#include "tests/golden/golden.h"

namespace thaw::golden {
namespace {

struct Case {
  const char* name;
  double kl_max;  // three times what was measured; floats: f16 keys and values are what differs
  double top1_min;
};

constexpr Case kCases[] = {
    {"llama-f32", 1e-5, 1},        {"llama-tied-f16", 2e-5, 1},
    {"llama-bf16", 1e-5, 1},       {"llama-partial-rope-f32", 1e-5, 1},
    {"llama-linear-f32", 1e-5, 1}, {"llama-llama3-f32", 1e-5, 1},
    {"llama-yarn-f32", 1e-5, 1},   {"qwen2-f32", 1e-5, 1},
    {"qwen3-f32", 1e-5, 1},        {"hf-llama-f32", 2e-5, 1},
    {"hf-llama3-bf16", 1e-5, 1},   {"hf-qwen2-f16-sharded", 1e-5, 1},
    {"hf-qwen3-bf16", 1e-5, 1},    {"hf-qwen2-yarn-f32", 1e-5, 1},
    {"llama-q8_0", 4e-2, 0.85},    {"llama-q4_0", 1e-2, 0.85},
    {"llama-q4_1", 3e-2, 0.85},    {"llama-q5_0", 1e-2, 0.85},
    {"llama-q5_1", 3e-2, 0.85},    {"llama-iq4_nl", 1e-2, 0.85},
    {"llama-q4_k", 2e-3, 0.9},     {"qwen2-q5_k", 2e-3, 0.9},
    {"qwen3-q6_k", 1.3e-3, 0.9},   {"llama-q4_k_m", 2.4e-3, 0.9},
};

const kernels::KernelSet& best() { return **kernels::select(""); }

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, GivesTheLogitsOfTheFloat32Reference) {
  const Expected expected = read_expected(GetParam().name);
  const auto frozen = freeze_golden(GetParam().name);
  const auto logits = evaluate(frozen->plan, best(), 2, 0, expected.tokens);
  const Distance found = distance(expected, logits);
  EXPECT_LE(found.mean_kl, GetParam().kl_max);
  EXPECT_GE(found.top1, GetParam().top1_min);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(kCases), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A tolerance is worth something only if wrong models miss it. Every mutation must miss even the
// widest tolerance above by a factor of two.
constexpr double kBroken = 8e-2;

double kl_of(const model::Plan& plan, const Expected& expected) {
  return distance(expected, evaluate(plan, best(), 1, 0, expected.tokens)).mean_kl;
}

TEST(GoldenMutation, AWrongRopePairingIsSeen) {
  for (const char* name : {"llama-f32", "qwen2-f32", "qwen3-f32"}) {
    const auto frozen = freeze_golden(name);
    frozen->plan.config.rope_interleaved ^= 1;
    EXPECT_GT(kl_of(frozen->plan, read_expected(name)), kBroken) << name;
  }
}

TEST(GoldenMutation, UnscaledRopeFrequenciesAreSeen) {
  const auto plain = freeze_golden("llama-f32");
  for (const char* name : {"llama-linear-f32", "llama-llama3-f32", "llama-yarn-f32"}) {
    const auto frozen = freeze_golden(name);
    frozen->plan.rope_turns = plain->plan.rope_turns;
    EXPECT_GT(kl_of(frozen->plan, read_expected(name)), kBroken) << name;
  }
}

TEST(GoldenMutation, AMissingRopeFactorIsSeen) {
  const auto frozen = freeze_golden("llama-yarn-f32");
  frozen->plan.config.rope_factor = 1;
  EXPECT_GT(kl_of(frozen->plan, read_expected("llama-yarn-f32")), 1e-3);
}

TEST(GoldenMutation, AMissingBiasIsSeen) {
  for (auto member : {&model::LayerPlan::query_bias, &model::LayerPlan::value_bias}) {
    const auto frozen = freeze_golden("qwen2-f32");
    for (model::LayerPlan& layer : frozen->plan.layers) layer.*member = nullptr;
    EXPECT_GT(kl_of(frozen->plan, read_expected("qwen2-f32")), kBroken);
  }
}

TEST(GoldenMutation, MissingQueryAndKeyNormsAreSeen) {
  const auto frozen = freeze_golden("qwen3-f32");
  for (model::LayerPlan& layer : frozen->plan.layers) {
    layer.query_norm = nullptr;
    layer.key_norm = nullptr;
  }
  EXPECT_GT(kl_of(frozen->plan, read_expected("qwen3-f32")), kBroken);
}

// Heads of 16 are one panel each: exchanging the two kv heads' panels gives every query head the
// other group's keys and values.
TEST(GoldenMutation, AWrongKvHeadIsSeen) {
  const auto frozen = freeze_golden("llama-f32");
  ASSERT_EQ(frozen->plan.config.head_dim, kernels::kPanelRows);
  ASSERT_EQ(frozen->plan.config.kv_heads, 2u);
  std::vector<std::vector<std::byte>> copies;
  for (model::LayerPlan& layer : frozen->plan.layers) {
    for (kernels::Matrix* matrix : {&layer.key, &layer.value}) {
      const std::size_t panel =
          *kernels::panels_bytes(matrix->kind, kernels::kPanelRows, matrix->cols);
      std::vector<std::byte>& copy = copies.emplace_back(2 * panel);
      std::memcpy(copy.data(), matrix->panels + panel, panel);
      std::memcpy(copy.data() + panel, matrix->panels, panel);
      matrix->panels = copy.data();
    }
  }
  EXPECT_GT(kl_of(frozen->plan, read_expected("llama-f32")), kBroken);
}

TEST(GoldenMutation, AShiftedPositionIsSeen) {
  const Expected expected = read_expected("llama-f32");
  const auto frozen = freeze_golden("llama-f32");
  std::vector<model::Token> shifted = {0};
  shifted.insert(shifted.end(), expected.tokens.begin(), expected.tokens.end());
  const auto logits = evaluate(frozen->plan, best(), 1, 0, shifted);
  const auto tail = std::span(logits).subspan(expected.vocabulary);
  EXPECT_GT(distance(expected, tail).mean_kl, kBroken);
}

}  // namespace
}  // namespace thaw::golden
