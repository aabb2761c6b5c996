#include "handler/model/kv_cache.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/str.h"

namespace thaw::model {

using kernels::kKvBlockPositions;

namespace {
constexpr std::uint32_t kKvPanelPositions = 16;  // of keys (kernels::KvShape)
}  // namespace

KvPool::~KvPool() {
  THAW_CHECK(lent_ == 0);
  for (std::byte* block : free_) std::free(block);
}

Result<std::byte*> KvPool::lend() {
  if (block_bytes_ > bytes_max_ - lent_bytes()) {
    return fail(Code::kLimit,
                cat("kv cache: ", lent_bytes() + block_bytes_, " bytes wanted, limit ", bytes_max_,
                    "; shorten the prompt or raise kv_bytes_max"));
  }
  std::byte* block = nullptr;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else {
    block = static_cast<std::byte*>(std::aligned_alloc(64, block_bytes_));
    if (block == nullptr) {
      return fail(Code::kUnavailable,
                  cat("kv cache: no memory for ", block_bytes_, " bytes beside ", lent_bytes(),
                      "; give the function more memory"));
    }
    std::memset(block, 0, block_bytes_);
  }
  ++lent_;
  return block;
}

void KvPool::take_back(std::byte* block) {
  THAW_CHECK(lent_ > 0);
  std::memset(block, 0, block_bytes_);
  free_.push_back(block);
  --lent_;
}

Session::Session(KvPool& pool, kernels::KvShape shape, std::uint32_t layers)
    : pool_(pool), shape_(shape), layers_(layers) {
  THAW_CHECK(pool.block_bytes() == shape.block_bytes() * layers);
}

Session::~Session() {
  while (!blocks_.empty()) drop_last();
}

// Memory of others is let go of as it is: only what came from the pool is wiped.
void Session::drop_last() {
  if (blocks_.back().owned != nullptr) pool_.take_back(blocks_.back().owned);
  blocks_.pop_back();
}

void Session::restore(const KvView& kv, std::uint32_t count) {
  THAW_CHECK(position_ == 0);
  THAW_CHECK(count <= kv.positions);
  truncate(0);
  const std::size_t want = (std::size_t{count} + kKvBlockPositions - 1) / kKvBlockPositions;
  blocks_.reserve(want + 1);  // most often, what is new fits one more
  for (std::size_t b = 0; b < want; ++b) blocks_.push_back({kv.block(b), nullptr});
  position_ = count;
  unchecked_ = {kv.blocks, kv.stride, count};
  fill_tables();
}

Result<std::byte*> Session::copy_of(const std::byte* block, std::uint32_t count) {
  THAW_TRY(copy, pool_.lend());
  // Per head whole panels of keys, and rows of values: what lies behind is left alone.
  const std::size_t key_head = shape_.key_bytes() / shape_.kv_heads;
  const std::size_t value_head = shape_.value_bytes() / shape_.kv_heads;
  const std::size_t panels = (count + kKvPanelPositions - 1) / kKvPanelPositions;
  const std::size_t key_bytes = key_head / (kKvBlockPositions / kKvPanelPositions) * panels;
  const std::size_t value_bytes = value_head / kKvBlockPositions * count;
  for (std::uint32_t layer = 0; layer < layers_; ++layer) {
    const std::size_t at = layer * shape_.block_bytes();
    for (std::uint32_t head = 0; head < shape_.kv_heads; ++head) {
      const std::size_t keys = at + head * key_head;
      const std::size_t values = at + shape_.key_bytes() + head * value_head;
      std::memcpy(copy + keys, block + keys, key_bytes);
      std::memcpy(copy + values, block + values, value_bytes);
    }
  }
  return copy;
}

Result<Done> Session::reserve(std::uint32_t count) {
  if (count == 0) return Done{};
  const std::size_t before = blocks_.size();
  const std::size_t want =
      (std::size_t{position_} + count + kKvBlockPositions - 1) / kKvBlockPositions;
  // A block of others that is partly used becomes ours before it is written to.
  const std::uint32_t used = position_ % kKvBlockPositions;
  const bool copies = used != 0 && blocks_.back().owned == nullptr;
  const Block borrowed = copies ? blocks_.back() : Block{};
  if (copies) {
    THAW_TRY(copy, copy_of(borrowed.bytes, used));
    blocks_.back() = {copy, copy};
  }
  while (blocks_.size() < want) {
    Result<std::byte*> block = pool_.lend();
    if (!block) {
      while (blocks_.size() > before) drop_last();
      if (copies) {
        pool_.take_back(blocks_.back().owned);
        blocks_.back() = borrowed;
      }
      return std::move(block).error();
    }
    blocks_.push_back({*block, *block});
  }
  if (copies || blocks_.size() != before) fill_tables();
  return Done{};
}

void Session::truncate(std::uint32_t position) {
  THAW_CHECK(position <= position_);
  const std::size_t keep = (std::size_t{position} + kKvBlockPositions - 1) / kKvBlockPositions;
  while (blocks_.size() > keep) drop_last();
  // Positions of the last block past `position` keep bytes of tokens that were forgotten; they are
  // never read before they are written, and are wiped with the block.
  position_ = position;
  if (position == 0) unchecked_ = {};
  fill_tables();
}

void Session::fill_tables() {
  if (blocks_.size() > stride_) {
    stride_ = blocks_.size() * 2;
    tables_.assign(stride_ * layers_, nullptr);
  }
  for (std::uint32_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      tables_[layer * stride_ + b] = blocks_[b].bytes + layer * shape_.block_bytes();
    }
  }
}

const std::byte* const* Session::table(std::uint32_t layer) const {
  return tables_.data() + layer * stride_;
}

std::byte* Session::block_at(std::uint32_t layer, std::uint32_t position) {
  std::byte* const block = blocks_[position / kKvBlockPositions].owned;
  THAW_CHECK(block != nullptr);
  return block + layer * shape_.block_bytes();
}

}  // namespace thaw::model
