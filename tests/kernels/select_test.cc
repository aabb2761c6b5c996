#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

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

TEST(Select, PutsFasterSetsFirst) {
  const std::vector<std::string_view> order = {"avx512", "avx2-vnni", "avx2",
                                               "neon-i8mm", "neon", "scalar"};
  auto place = order.begin();
  for (const KernelSet* set : available()) {
    place = std::find(place, order.end(), set->name);
    ASSERT_NE(place, order.end()) << set->name;
    ++place;
  }
}

#if defined(__x86_64__)
// What the kernel says of the processor. An old one knows fewer names: their absence says nothing.
TEST(Select, HasTheSetOfEveryInstructionSetThatTheKernelNames) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags")) {
  }
  line += ' ';
  const auto expect_set = [&](std::string_view set, const std::vector<std::string>& flags) {
    const bool all = std::all_of(flags.begin(), flags.end(), [&](const std::string& flag) {
      return line.find(" " + flag + " ") != std::string::npos;
    });
    if (all) {
      EXPECT_TRUE(select(set).has_value()) << set;
    }
  };
  expect_set("avx2", {"avx2", "fma", "f16c"});
  expect_set("avx2-vnni", {"avx2", "fma", "f16c", "avx_vnni"});
  expect_set("avx512", {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl",
                        "avx512_vnni"});
}
#endif

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
