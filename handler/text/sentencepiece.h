// SentencePiece's way of merging: characters first, then the pair of neighbours whose joined text
// is the token of the highest score, the leftmost among equals; what is left falls back to bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "handler/text/tokenizer.h"
#include "handler/text/tokenizer_tables.h"

namespace thaw::text {

// Encodes runs of text in which spaces are spaces (not U+2581). One thread at a time; `tables`
// outlives it.
class SentencePieceEncoder {
 public:
  explicit SentencePieceEncoder(const TokenizerTables& tables) : tables_(tables) {}

  // Appends the tokens of `text`: time n log n in its bytes.
  void encode(std::string_view text, std::vector<Token>& to);

 private:
  struct Symbol {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;  // equal to `begin` once merged into the one before
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  struct Pair {
    float score;
    std::uint32_t left;
    std::uint32_t right;
    std::uint32_t bytes;  // of the joined text: tells stale entries
  };

  std::string_view text_of(const Symbol& symbol) const {
    return text_.substr(symbol.begin, symbol.end - symbol.begin);
  }
  void encode_slice(std::string_view text, std::vector<Token>& to);
  void push_pair(std::uint32_t left, std::uint32_t right);
  void emit(std::string_view part, std::vector<Token>& to);
  void emit_token(Token token, std::vector<Token>& to);

  const TokenizerTables& tables_;
  std::string_view text_;
  std::vector<Symbol> symbols_;
  std::vector<Pair> heap_;
  // How tokens that exist only to be merged further (type kUnused) came to be.
  std::map<std::string_view, std::pair<std::string_view, std::string_view>> halves_;
  bool was_unknown_ = false;  // neighbouring unknown characters give one unknown token
};

}  // namespace thaw::text
