#include "handler/text/bpe.h"

#include <algorithm>
#include <functional>

namespace thaw::text {
namespace {

// Up to here a scan for the smallest rank beats a heap. Most pieces are words.
constexpr std::size_t kShortBytes = 48;
// Positions have 32 bits. Longer pieces are cut; nothing that long is ever tokenised.
constexpr std::size_t kPieceBytesMax = std::size_t{1} << 31;

}  // namespace

void BpeEncoder::encode(std::string_view piece, std::vector<Token>& to) {
  while (piece.size() > kPieceBytesMax) {
    encode(piece.substr(0, kPieceBytesMax), to);
    piece.remove_prefix(kPieceBytesMax);
  }
  if (tables_.has(kFlagIgnoreMerges)) {
    if (const Token whole = tables_.find(piece); whole != kNoToken) {
      emit(whole, to);
      return;
    }
  }
  symbols_.resize(piece.size());
  for (std::size_t i = 0; i < piece.size(); ++i) {
    symbols_[i].token = tables_.byte_token(static_cast<std::uint8_t>(piece[i]));
  }
  for (std::size_t i = 0; i + 1 < piece.size(); ++i) {
    find_merge(symbols_[i], symbols_[i + 1].token);
  }
  if (!symbols_.empty()) symbols_.back().rank = kNoToken;
  if (piece.size() <= kShortBytes) {
    merge_short();
    for (const Symbol& symbol : symbols_) emit(symbol.token, to);
  } else {
    merge_long();
    for (std::uint32_t i = 0; i < symbols_.size(); i = symbols_[i].next) {
      emit(symbols_[i].token, to);
    }
  }
}

void BpeEncoder::find_merge(Symbol& left, Token right) const {
  left.rank = kNoToken;
  if (left.token == kNoToken || right == kNoToken) return;
  if (const auto merge = tables_.find_merge(left.token, right)) {
    left.rank = merge->rank;
    left.merged = merge->merged;
  }
}

void BpeEncoder::merge_short() {
  for (;;) {
    const auto best =
        std::min_element(symbols_.begin(), symbols_.end(),
                         [](const Symbol& a, const Symbol& b) { return a.rank < b.rank; });
    if (best == symbols_.end() || best->rank == kNoToken) return;
    best->token = best->merged;
    const auto after = symbols_.erase(best + 1);
    if (after == symbols_.end()) {
      best->rank = kNoToken;
    } else {
      find_merge(*best, after->token);
    }
    if (best != symbols_.begin()) find_merge(*(best - 1), best->token);
  }
}

void BpeEncoder::merge_long() {
  constexpr std::uint32_t kGone = 0xFFFFFFFF;  // as `previous`: merged into the one before
  const auto count = static_cast<std::uint32_t>(symbols_.size());
  const auto push = [&](std::uint32_t at) {
    if (symbols_[at].rank == kNoToken) return;
    heap_.push_back(std::uint64_t{symbols_[at].rank} << 32 | at);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };
  heap_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    symbols_[i].previous = i == 0 ? 0 : i - 1;
    symbols_[i].next = i + 1;
    if (symbols_[i].rank != kNoToken) {
      heap_.push_back(std::uint64_t{symbols_[i].rank} << 32 | i);
    }
  }
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const std::uint64_t top = heap_.back();
    heap_.pop_back();
    const auto at = static_cast<std::uint32_t>(top);
    Symbol& left = symbols_[at];
    // A rank names one pair, so an entry is stale where the rank has changed.
    if (left.previous == kGone || left.rank != top >> 32) continue;
    Symbol& right = symbols_[left.next];
    left.token = left.merged;
    left.next = right.next;
    right.previous = kGone;
    left.rank = kNoToken;
    if (left.next < count) {
      symbols_[left.next].previous = at;
      find_merge(left, symbols_[left.next].token);
      push(at);
    }
    if (at != 0) {
      find_merge(symbols_[left.previous], left.token);
      push(left.previous);
    }
  }
}

void BpeEncoder::emit(Token token, std::vector<Token>& to) const {
  if (token >= tables_.vocabulary()) {
    token = tables_.header().unknown;
    // Some models name their end of text as the unknown token; users must not be able to write it.
    if (tables_.type_of(token) == static_cast<std::uint8_t>(TokenType::kControl)) return;
  }
  if (token < tables_.vocabulary()) to.push_back(token);
}

}  // namespace thaw::text
