#include "handler/model/kv_cache.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/str.h"

namespace thaw::model {

using kernels::kKvBlockPositions;

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
  for (std::byte* block : blocks_) pool_.take_back(block);
}

Result<Done> Session::reserve(std::uint32_t count) {
  const std::size_t before = blocks_.size();
  const std::size_t want =
      (std::size_t{position_} + count + kKvBlockPositions - 1) / kKvBlockPositions;
  while (blocks_.size() < want) {
    Result<std::byte*> block = pool_.lend();
    if (!block) {
      while (blocks_.size() > before) {
        pool_.take_back(blocks_.back());
        blocks_.pop_back();
      }
      return std::move(block).error();
    }
    blocks_.push_back(*block);
  }
  if (blocks_.size() != before) fill_tables();
  return Done{};
}

void Session::truncate(std::uint32_t position) {
  THAW_CHECK(position <= position_);
  const std::size_t keep = (std::size_t{position} + kKvBlockPositions - 1) / kKvBlockPositions;
  while (blocks_.size() > keep) {
    pool_.take_back(blocks_.back());
    blocks_.pop_back();
  }
  // Positions of the last block past `position` keep bytes of tokens that were forgotten; they are
  // never read before they are written, and are wiped with the block.
  position_ = position;
  fill_tables();
}

void Session::fill_tables() {
  if (blocks_.size() > stride_) {
    stride_ = blocks_.size() * 2;
    tables_.assign(stride_ * layers_, nullptr);
  }
  for (std::uint32_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      tables_[layer * stride_ + b] = blocks_[b] + layer * shape_.block_bytes();
    }
  }
}

const std::byte* const* Session::table(std::uint32_t layer) const {
  return tables_.data() + layer * stride_;
}

std::byte* Session::block_at(std::uint32_t layer, std::uint32_t position) {
  return blocks_[position / kKvBlockPositions] + layer * shape_.block_bytes();
}

}  // namespace thaw::model
