// Every set equals the scalar set to the bit. The sets this machine can run, and where the build
// has them the sets that run through an emulation of instructions it lacks.
#include <gtest/gtest.h>

#include <algorithm>

#include "checks.h"
#include "kernels/scalar.h"

#ifdef THAW_TEST_SIMDE_AVX512
namespace thaw::kernels {
const KernelSet& simde_avx512_set();
}
#endif

namespace thaw::kernels::test {
namespace {

std::vector<const KernelSet*> sets() {
  std::vector<const KernelSet*> all(available().begin(), available().end());
#ifdef THAW_TEST_SIMDE_AVX512
  all.push_back(&simde_avx512_set());
#endif
  return all;
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

TEST(Select, GivesTheFastestUnlessOneIsNamed) {
  ASSERT_FALSE(available().empty());
  EXPECT_EQ(select("").value(), available().front());
  EXPECT_EQ(available().back(), &scalar_set());
  for (const KernelSet* set : available()) {
    ASSERT_TRUE(select(set->name).has_value());
    EXPECT_EQ(select(set->name).value(), set);
  }
}

TEST(Select, NamesTheSetsThatCouldBeHad) {
  for (const char* name : {"altivec", "Scalar", "scalar ", "avx"}) {
    const auto result = select(name);
    ASSERT_FALSE(result.has_value()) << name;
    EXPECT_EQ(result.error().code, Code::kUnsupported);
    for (const KernelSet* set : available()) {
      EXPECT_NE(result.error().message.find(set->name), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace thaw::kernels::test
