#include "handler/model/kv_cache.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

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

// KV blocks in pages that nobody can write to, as a snapshot's map is: a write ends the test.
class ReadOnlyKv {
 public:
  explicit ReadOnlyKv(std::uint32_t positions) {
    view_ = {nullptr, (block_bytes() + 4095) / 4096 * 4096, positions};
    size_ = (positions + 63) / 64 * view_.stride;
    void* const at =
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at, MAP_FAILED);
    auto* bytes = static_cast<std::byte*>(at);
    for (std::size_t i = 0; i < size_; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
    EXPECT_EQ(::mprotect(at, size_, PROT_READ), 0);
    view_.blocks = bytes;
  }
  ~ReadOnlyKv() { ::munmap(const_cast<std::byte*>(view_.blocks), size_); }
  ReadOnlyKv(const ReadOnlyKv&) = delete;
  ReadOnlyKv& operator=(const ReadOnlyKv&) = delete;

  const KvView& view() const { return view_; }

 private:
  KvView view_;
  std::size_t size_ = 0;
};

// Whether `copy` has the first `count` positions of `block`, key by key and value by value.
bool has_positions(const std::byte* copy, const std::byte* block, std::uint32_t count) {
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    for (std::uint32_t head = 0; head < kShape.kv_heads; ++head) {
      for (std::uint32_t position = 0; position < count; ++position) {
        const std::size_t at = layer * kShape.block_bytes();
        for (std::uint32_t channel = 0; channel < kShape.key_dim; ++channel) {
          const std::size_t lane =
              ((head * 4 + position / 16) * kShape.key_dim + channel) * 16 + position % 16;
          if (std::memcmp(copy + at + lane * 2, block + at + lane * 2, 2) != 0) return false;
        }
        const std::size_t row = (head * 64 + position) * kShape.value_stride() * 2;
        const std::size_t values = at + kShape.key_bytes() + row;
        if (std::memcmp(copy + values, block + values, kShape.value_stride() * 2) != 0) {
          return false;
        }
      }
    }
  }
  return true;
}

TEST(Session, UsesRestoredBlocksWhereTheyLie) {
  const ReadOnlyKv kv(200);
  KvPool pool(block_bytes(), 8 * block_bytes());
  Session session(pool, kShape, kLayers);
  session.restore(kv.view(), 192);
  EXPECT_EQ(session.position(), 192u);
  EXPECT_EQ(pool.lent_bytes(), 0u);
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    for (std::uint32_t block = 0; block < 3; ++block) {
      EXPECT_EQ(session.table(layer)[block], kv.view().block(block) + layer * kShape.block_bytes());
    }
  }
  ASSERT_TRUE(session.reserve(10));  // a whole block ended: nothing to copy
  EXPECT_EQ(pool.lent_bytes(), block_bytes());
  EXPECT_EQ(session.table(0)[2], kv.view().block(2));
  EXPECT_EQ(session.table(1)[3], session.block_at(1, 195));
}

TEST(Session, CopiesOnlyTheLastPartlyUsedBlock) {
  for (std::uint32_t count = 1; count < 128; ++count) {
    if (count == 64) continue;
    const ReadOnlyKv kv(130);
    KvPool pool(block_bytes(), 8 * block_bytes());
    Session session(pool, kShape, kLayers);
    session.restore(kv.view(), count);
    EXPECT_EQ(pool.lent_bytes(), 0u) << "nothing is copied before there is need";
    ASSERT_TRUE(session.reserve(0));
    EXPECT_EQ(pool.lent_bytes(), 0u);
    ASSERT_TRUE(session.reserve(1));
    EXPECT_EQ(pool.lent_bytes(), block_bytes());
    const std::byte* copy = session.table(0)[count / 64];
    EXPECT_EQ(copy, session.block_at(0, count));
    EXPECT_TRUE(has_positions(copy, kv.view().block(count / 64), count % 64)) << count;
    EXPECT_EQ(session.table(0)[0] == kv.view().block(0), count > 64);
  }
}

TEST(Session, WritesToACopyAfterATruncationIntoRestoredBlocks) {
  const ReadOnlyKv kv(128);
  KvPool pool(block_bytes(), 8 * block_bytes());
  Session session(pool, kShape, kLayers);
  session.restore(kv.view(), 128);
  ASSERT_TRUE(session.reserve(40));
  session.advance(40);
  session.truncate(70);
  EXPECT_EQ(pool.lent_bytes(), 0u);
  ASSERT_TRUE(session.reserve(5));
  std::memset(session.block_at(0, 70), 0xAB, block_bytes());
  EXPECT_EQ(pool.lent_bytes(), block_bytes());
  session.truncate(64);
  EXPECT_EQ(session.table(0)[0], kv.view().block(0));
  EXPECT_EQ(pool.lent_bytes(), 0u);
}

TEST(Session, KeepsARestoredBlockWhenRoomRunsOut) {
  const ReadOnlyKv kv(100);
  KvPool pool(block_bytes(), 2 * block_bytes());
  Session session(pool, kShape, kLayers);
  session.restore(kv.view(), 100);
  const auto refused = session.reserve(200);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  EXPECT_EQ(session.position(), 100u);
  EXPECT_EQ(pool.lent_bytes(), 0u);
  EXPECT_EQ(session.table(0)[1], kv.view().block(1));
  EXPECT_TRUE(session.reserve(28));
}

TEST(Session, SharesRestoredBlocksWithOthersAndLeavesThemAsTheyWere) {
  const ReadOnlyKv kv(100);
  const std::vector<std::byte> before(kv.view().blocks, kv.view().blocks + 2 * kv.view().stride);
  KvPool pool(block_bytes(), 8 * block_bytes());
  {
    Session a(pool, kShape, kLayers);
    Session b(pool, kShape, kLayers);
    a.restore(kv.view(), 100);
    b.restore(kv.view(), 37);
    ASSERT_TRUE(a.reserve(64) && b.reserve(64));
    EXPECT_EQ(a.table(0)[0], kv.view().block(0));
    EXPECT_NE(b.table(0)[0], kv.view().block(0));
    std::memset(a.block_at(0, 100), 1, block_bytes());
    std::memset(b.block_at(0, 37), 2, block_bytes());
  }
  EXPECT_EQ(pool.lent_bytes(), 0u);  // and wiping them did not write to the map
  EXPECT_EQ(std::memcmp(before.data(), kv.view().blocks, before.size()), 0);
}

}  // namespace
}  // namespace thaw::model
