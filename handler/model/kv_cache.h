// Keys and values of sequences, in blocks of 64 absolute positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace thaw::model {

// Zeroed blocks of one size, up to a limit. Blocks grow with use; returned ones are wiped before
// they are lent again. One thread at a time.
class KvPool {
 public:
  // Precondition: block_bytes is a positive multiple of 64.
  KvPool(std::size_t block_bytes, std::size_t bytes_max)
      : block_bytes_(block_bytes), bytes_max_(bytes_max) {}
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  // A block of zeros, 64-byte aligned. Errors: kLimit, naming the limit; kUnavailable (no memory).
  Result<std::byte*> lend();
  void take_back(std::byte* block);

  std::size_t block_bytes() const { return block_bytes_; }
  std::size_t lent_bytes() const { return lent_ * block_bytes_; }
  std::size_t bytes_max() const { return bytes_max_; }

 private:
  std::size_t block_bytes_;
  std::size_t bytes_max_;
  std::size_t lent_ = 0;
  std::vector<std::byte*> free_;
};

// KV blocks in memory that others own and nobody writes: those of a prefix, in the snapshot's map.
struct KvView {
  const std::byte* blocks = nullptr;  // block b at blocks + b * stride, 64-byte aligned
  std::size_t stride = 0;
  std::uint32_t positions = 0;

  const std::byte* block(std::size_t index) const { return blocks + index * stride; }
  Bytes bytes() const {  // of all blocks
    const std::size_t count =
        (std::size_t{positions} + kernels::kKvBlockPositions - 1) / kernels::kKvBlockPositions;
    return {blocks, count * stride};
  }
};

// One sequence: how many positions it has, and where their keys and values lie. A block holds all
// layers of 64 positions, layer after layer. One thread at a time; the pool outlives it.
class Session {
 public:
  Session(KvPool& pool, kernels::KvShape shape, std::uint32_t layers);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::uint32_t position() const { return position_; }  // tokens evaluated so far
  // Begins with the first `count` positions of `kv`, used where they lie: nothing is copied until
  // reserve() needs room in the last, partly used block. Precondition: position() is 0, count is at
  // most kv.positions, and the memory behind `kv` outlives the session.
  void restore(const KvView& kv, std::uint32_t count);
  // Borrowed memory that nobody has checked yet: who evaluates checks it before anything that comes
  // from it is told, and says so.
  const KvView& unchecked() const { return unchecked_; }  // of no positions: none
  void set_checked() { unchecked_ = {}; }
  // Makes room for positions [position(), position() + count). Errors: kLimit, kUnavailable; the
  // session is then as it was.
  Result<Done> reserve(std::uint32_t count);
  void advance(std::uint32_t count) { position_ += count; }
  // Forgets all positions from `position` on, wiping them. Precondition: position <= position().
  void truncate(std::uint32_t position);

  // The layer's block table, for kernels::Queries; valid until the next reserve(), restore() or
  // truncate().
  const std::byte* const* table(std::uint32_t layer) const;
  // The layer's part of the block that holds `position`, writable. Precondition: room is reserved.
  std::byte* block_at(std::uint32_t layer, std::uint32_t position);

 private:
  struct Block {
    const std::byte* bytes = nullptr;
    std::byte* owned = nullptr;  // the same, from the pool; null: in memory that others own
  };
  void drop_last();
  // The pool's copy of the first `count` positions of a block.
  Result<std::byte*> copy_of(const std::byte* block, std::uint32_t count);
  void fill_tables();

  KvPool& pool_;
  kernels::KvShape shape_;
  std::uint32_t layers_;
  std::uint32_t position_ = 0;
  KvView unchecked_;
  std::vector<Block> blocks_;
  std::vector<const std::byte*> tables_;  // [layers][stride_]
  std::size_t stride_ = 0;
};

}  // namespace thaw::model
