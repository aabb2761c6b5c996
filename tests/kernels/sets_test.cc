// Every set equals the scalar set to the bit: the sets that this machine can run, or (compiled with
// THAW_TEST_EMULATED) the AVX-512 and AVX2-VNNI sets by way of an emulation of their instructions.
#include <gtest/gtest.h>

#include <algorithm>

#include "checks.h"
#include "kernels/scalar.h"
#ifdef THAW_TEST_EMULATED
#include "kernels/emulated.h"
#endif

namespace thaw::kernels::test {
namespace {

std::vector<const KernelSet*> sets() {
#ifdef THAW_TEST_EMULATED
  if (!select("avx2").has_value()) return {};  // the emulation is made of AVX2
  const auto emulated = emulated_sets();
  return {emulated.begin(), emulated.end()};
#else
  return {available().begin(), available().end()};
#endif
}

// GoogleTest wants letters, digits and underscores.
std::string name_of_set(std::size_t index) {
  std::string name(sets()[index]->name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name + "_" + std::to_string(index);
}

std::string set_name(const testing::TestParamInfo<std::size_t>& at) {
  return name_of_set(at.param);
}

std::string set_and_kind_name(
    const testing::TestParamInfo<std::tuple<std::size_t, std::size_t>>& at) {
  return name_of_set(std::get<0>(at.param)) + "_" +
         std::string(kinds()[std::get<1>(at.param)].name);
}

class Sets : public testing::TestWithParam<std::size_t> {
 protected:
  const KernelSet& set() const { return *sets()[GetParam()]; }
};

INSTANTIATE_TEST_SUITE_P(All, Sets, testing::Range(std::size_t{0}, sets().size()), set_name);

class SetsByKind : public testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {
 protected:
  const KernelSet& set() const { return *sets()[std::get<0>(GetParam())]; }
  Kind kind() const { return kinds()[std::get<1>(GetParam())].kind; }
};

INSTANTIATE_TEST_SUITE_P(All, SetsByKind,
                         testing::Combine(testing::Range(std::size_t{0}, sets().size()),
                                          testing::Range(std::size_t{0}, kinds().size())),
                         set_and_kind_name);

TEST_P(SetsByKind, MatmulIsScalarsForEveryShape) {
  EXPECT_EQ(check_matmul_shapes(set(), kind()), "");
}
TEST_P(SetsByKind, MatmulIsScalarsForLargeSizes) {
  EXPECT_EQ(check_matmul_sizes(set(), kind()), "");
}
TEST_P(SetsByKind, MatmulIsScalarsForExtremes) {
  EXPECT_EQ(check_matmul_patterns(set(), kind()), "");
}
TEST_P(SetsByKind, MatmulIsTheSameInPieces) { EXPECT_EQ(check_matmul_splits(set(), kind()), ""); }

TEST_P(Sets, RmsNormIsScalars) { EXPECT_EQ(check_rms_norm(set()), ""); }
TEST_P(Sets, AddIsScalars) { EXPECT_EQ(check_add(set()), ""); }
TEST_P(Sets, SiluMulIsScalars) { EXPECT_EQ(check_silu_mul(set()), ""); }
TEST_P(Sets, ExpIsScalars) { EXPECT_EQ(check_exp(set()), ""); }
TEST_P(Sets, RopeIsScalars) { EXPECT_EQ(check_rope(set()), ""); }
TEST_P(Sets, ArgmaxIsScalars) { EXPECT_EQ(check_argmax(set()), ""); }
TEST_P(Sets, StoreKvIsScalars) { EXPECT_EQ(check_store_kv(set()), ""); }
TEST_P(Sets, AttentionIsScalarsForEveryHeadSize) { EXPECT_EQ(check_attention_dims(set()), ""); }
TEST_P(Sets, AttentionIsScalarsForEveryContext) { EXPECT_EQ(check_attention_contexts(set()), ""); }
TEST_P(Sets, AttentionIsScalarsForExtremes) { EXPECT_EQ(check_attention_extremes(set()), ""); }
TEST_P(Sets, AttentionOfAChunkIsThatOfItsTokens) { EXPECT_EQ(check_attention_chunks(set()), ""); }

}  // namespace
}  // namespace thaw::kernels::test
