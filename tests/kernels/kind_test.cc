#include "kernels/kind.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

namespace thaw::kernels {
namespace {

TEST(Kind, EveryKindIsFoundByValueAndName) {
  std::set<std::string_view> names;
  for (const KindInfo& kind : kinds()) {
    EXPECT_EQ(find_kind(static_cast<std::uint32_t>(kind.kind)), &kind);
    EXPECT_EQ(&info(kind.kind), &kind);
    EXPECT_EQ(kind_named(kind.name), kind.kind);
    names.insert(kind.name);
  }
  EXPECT_EQ(names.size(), 9u);
  EXPECT_EQ(find_kind(3), nullptr);
  EXPECT_EQ(find_kind(14), nullptr);
  EXPECT_EQ(find_kind(0xffffffff), nullptr);
  EXPECT_EQ(kind_named("q4_0"), std::nullopt);
  EXPECT_EQ(kind_named(""), std::nullopt);
}

// Snapshots store the values, and the sizes follow from GGUF's blocks and from the list of planes.
TEST(Kind, ValuesAndSizesAreWhatSnapshotsHold) {
  struct Fact {
    std::string_view name;
    std::uint32_t value, cols, row_bytes, panel_bytes;
  };
  constexpr std::uint32_t kSub = 8 * 16 + 4 * 16;
  const Fact facts[] = {
      {"f32", 0, 1, 4, 64},
      {"f16", 1, 1, 2, 32},
      {"bf16", 2, 1, 2, 32},
      {"q8", 8, 32, 2 + 32, 8 * 64 + 32},
      {"q4", 9, 32, 2 + 16, 4 * 64 + 32},
      {"q4m", 10, 32, 4 + 16, 4 * 64 + 64},
      {"q4k", 11, 256, 4 + 12 + 128, 8 * 256 + 64 + kSub},
      {"q5k", 12, 256, 4 + 12 + 32 + 128, 8 * 256 + 8 * 64 + 64 + kSub},
      {"q6k", 13, 256, 128 + 64 + 16 + 2, 8 * 256 + 8 * 128 + 256 + 32},
  };
  for (const Fact& fact : facts) {
    const auto kind = kind_named(fact.name);
    ASSERT_TRUE(kind.has_value()) << fact.name;
    EXPECT_EQ(static_cast<std::uint32_t>(*kind), fact.value);
    EXPECT_EQ(info(*kind).block_cols, fact.cols) << fact.name;
    EXPECT_EQ(info(*kind).row_block_bytes, fact.row_bytes) << fact.name;
    EXPECT_EQ(info(*kind).panel_block_bytes, fact.panel_bytes) << fact.name;
    EXPECT_EQ(info(*kind).panel_block_bytes % 32, 0u) << fact.name;
    EXPECT_EQ(info(*kind).is_float, fact.cols == 1) << fact.name;
  }
}

TEST(Kind, SizesOfMatrices) {
  EXPECT_EQ(rows_bytes(Kind::kQ4m, 3, 64), 3u * 2 * 20);
  EXPECT_EQ(panels_bytes(Kind::kQ4m, 16, 64), 2u * 320);
  EXPECT_EQ(panels_bytes(Kind::kQ4m, 17, 64), 2u * 2 * 320);
  EXPECT_EQ(panels_bytes(Kind::kF32, 1, 5), 5u * 64);
  EXPECT_EQ(rows_bytes(Kind::kQ8, 0, 32), 0u);
  EXPECT_EQ(panels_bytes(Kind::kQ8, 0, 32), 0u);
}

TEST(Kind, SizesThatCannotBeAreNothing) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(rows_bytes(Kind::kQ8, 4, 33), std::nullopt);
  EXPECT_EQ(panels_bytes(Kind::kQ8, 4, 33), std::nullopt);
  EXPECT_EQ(rows_bytes(Kind::kQ6k, 4, 128), std::nullopt);
  EXPECT_EQ(rows_bytes(Kind::kF32, kMax / 4 + 1, 1), std::nullopt);
  EXPECT_EQ(rows_bytes(Kind::kF32, 1, kMax), std::nullopt);
  EXPECT_EQ(panels_bytes(Kind::kF32, kMax, 1), std::nullopt);
  EXPECT_EQ(panels_bytes(Kind::kF32, kMax / 2, 1), std::nullopt);
  EXPECT_EQ(panels_bytes(Kind::kF32, 1, kMax), std::nullopt);
}

}  // namespace
}  // namespace thaw::kernels
