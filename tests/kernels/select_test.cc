#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "kernels/scalar.h"

namespace thaw::kernels {
namespace {

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
}  // namespace thaw::kernels
