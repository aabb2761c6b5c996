#include "handler/model/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace thaw::model {
namespace {

constexpr kernels::KvShape kShape{2, 8, 8};
constexpr std::uint32_t kLayers = 3;

std::size_t block_bytes() { return kShape.block_bytes() * kLayers; }

bool is_zero(const std::byte* block, std::size_t count) {
  return std::all_of(block, block + count, [](std::byte b) { return b == std::byte{0}; });
}

TEST(KvPool, LendsZeroedAlignedBlocksUpToItsLimit) {
  KvPool pool(block_bytes(), 2 * block_bytes());
  const auto first = pool.lend();
  const auto second = pool.lend();
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(is_zero(*first, block_bytes()));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*second) % 64, 0u);
  EXPECT_EQ(pool.lent_bytes(), 2 * block_bytes());
  const auto third = pool.lend();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kLimit);
  pool.take_back(*first);
  pool.take_back(*second);
  EXPECT_EQ(pool.lent_bytes(), 0u);
}

TEST(KvPool, WipesABlockBeforeItIsLentAgain) {
  KvPool pool(block_bytes(), block_bytes());
  std::byte* block = *pool.lend();
  std::fill(block, block + block_bytes(), std::byte{0xAB});
  pool.take_back(block);
  std::byte* again = *pool.lend();
  EXPECT_EQ(again, block);
  EXPECT_TRUE(is_zero(again, block_bytes()));
  pool.take_back(again);
}

TEST(Session, GrowsByBlocksAndGivesThemBack) {
  KvPool pool(block_bytes(), 8 * block_bytes());
  {
    Session session(pool, kShape, kLayers);
    EXPECT_EQ(pool.lent_bytes(), 0u);
    ASSERT_TRUE(session.reserve(64));
    EXPECT_EQ(pool.lent_bytes(), block_bytes());
    session.advance(64);
    ASSERT_TRUE(session.reserve(1));
    EXPECT_EQ(pool.lent_bytes(), 2 * block_bytes());
    session.advance(1);
    session.truncate(64);
    EXPECT_EQ(pool.lent_bytes(), block_bytes());
    EXPECT_EQ(session.position(), 64u);
  }
  EXPECT_EQ(pool.lent_bytes(), 0u);
}

TEST(Session, IsAsItWasWhenRoomRunsOut) {
  KvPool pool(block_bytes(), 3 * block_bytes());
  Session session(pool, kShape, kLayers);
  ASSERT_TRUE(session.reserve(100));
  session.advance(100);
  const auto refused = session.reserve(200);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  EXPECT_EQ(session.position(), 100u);
  EXPECT_EQ(pool.lent_bytes(), 2 * block_bytes());
  EXPECT_TRUE(session.reserve(92));
}

TEST(Session, TablesNameEachLayersPartOfEachBlock) {
  KvPool pool(block_bytes(), 8 * block_bytes());
  Session session(pool, kShape, kLayers);
  ASSERT_TRUE(session.reserve(200));
  session.advance(200);
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    for (std::uint32_t block = 0; block < 4; ++block) {
      EXPECT_EQ(session.table(layer)[block], session.block_at(layer, block * 64 + 5));
      EXPECT_EQ(session.block_at(layer, block * 64),
                session.block_at(0, block * 64) + layer * kShape.block_bytes());
    }
  }
}

}  // namespace
}  // namespace thaw::model
