#include "handler/text/sentencepiece.h"

#include <algorithm>

#include "handler/text/unicode.h"

namespace thaw::text {
namespace {

// Positions have 32 bits. Longer text is cut; nothing that long is ever tokenised.
constexpr std::size_t kSliceBytesMax = std::size_t{1} << 31;

}  // namespace

void SentencePieceEncoder::encode(std::string_view text, std::vector<Token>& to) {
  was_unknown_ = false;
  while (!text.empty()) {
    // Where spaces lead, nothing merges across the end of a word: words are slices, which keeps the
    // heap small.
    std::size_t bytes = kSliceBytesMax;
    if (tables_.has(kFlagSpacesLead)) {
      bytes = std::min(bytes, text.find(' ', text.find_first_not_of(' ')));
    }
    const std::string_view slice = text.substr(0, bytes);
    encode_slice(slice, to);
    text.remove_prefix(slice.size());
  }
}

void SentencePieceEncoder::encode_slice(std::string_view text, std::vector<Token>& to) {
  const auto is_after = [](const Pair& a, const Pair& b) {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  };
  text_ = text;
  symbols_.clear();
  heap_.clear();
  halves_.clear();
  for (std::size_t at = 0; at < text.size();) {
    const Utf8 next = decode_utf8(text.substr(at));
    const std::size_t bytes = next.status == Utf8::Status::kValid ? next.bytes : 1;
    const auto index = static_cast<std::uint32_t>(symbols_.size());
    symbols_.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + bytes),
                        index - 1, index + 1});
    at += bytes;
  }
  const auto count = static_cast<std::uint32_t>(symbols_.size());
  for (std::uint32_t i = 0; i + 1 < count; ++i) push_pair(i, i + 1);
  std::make_heap(heap_.begin(), heap_.end(), is_after);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), is_after);
    const Pair pair = heap_.back();
    heap_.pop_back();
    Symbol& left = symbols_[pair.left];
    Symbol& right = symbols_[pair.right];
    if (left.begin == left.end || right.begin == right.end ||
        right.end - left.begin != pair.bytes) {
      continue;
    }
    left.end = right.end;
    left.next = right.next;
    right.begin = right.end;
    if (left.next < count) symbols_[left.next].previous = pair.left;
    const auto push = [&](std::uint32_t first, std::uint32_t second) {
      const std::size_t before = heap_.size();
      push_pair(first, second);
      if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), is_after);
    };
    if (pair.left != 0) push(left.previous, pair.left);
    if (left.next < count) push(pair.left, left.next);
  }
  for (std::uint32_t i = 0; i < count; i = symbols_[i].next) emit(text_of(symbols_[i]), to);
}

void SentencePieceEncoder::push_pair(std::uint32_t left, std::uint32_t right) {
  const Symbol& first = symbols_[left];
  const Symbol& second = symbols_[right];
  const std::string_view joined = text_.substr(first.begin, second.end - first.begin);
  const Token token = tables_.find(joined);
  if (token == kNoToken) return;
  heap_.push_back({tables_.score_of(token), left, right, second.end - first.begin});
  if (tables_.type_of(token) == static_cast<std::uint8_t>(TokenType::kUnused)) {
    halves_[joined] = {text_of(first), text_of(second)};
  }
}

void SentencePieceEncoder::emit(std::string_view part, std::vector<Token>& to) {
  const Token token = tables_.find(part);
  if (token != kNoToken) {
    if (tables_.type_of(token) == static_cast<std::uint8_t>(TokenType::kUnused)) {
      if (const auto found = halves_.find(part); found != halves_.end()) {
        const auto [left, right] = found->second;
        emit(left, to);
        emit(right, to);
        return;
      }
    }
    was_unknown_ = false;
    emit_token(token, to);
    return;
  }
  const bool has_bytes = std::all_of(part.begin(), part.end(), [&](char c) {
    return tables_.byte_token(static_cast<std::uint8_t>(c)) < tables_.vocabulary();
  });
  if (has_bytes) {
    for (const char c : part) emit_token(tables_.byte_token(static_cast<std::uint8_t>(c)), to);
    was_unknown_ = false;
  } else if (!was_unknown_) {
    emit_token(tables_.header().unknown, to);
    was_unknown_ = true;
  }
}

void SentencePieceEncoder::emit_token(Token token, std::vector<Token>& to) {
  if (token < tables_.vocabulary()) to.push_back(token);
}

}  // namespace thaw::text
