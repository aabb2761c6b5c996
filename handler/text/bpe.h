// Byte-pair merging by rank (GPT-2's way): the pair of neighbours with the lowest rank merges
// first, the leftmost among equals.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "handler/text/tokenizer.h"
#include "handler/text/tokenizer_tables.h"

namespace thaw::text {

// Encodes pieces; reuses its buffers from one to the next. One thread at a time; `tables` outlives
// it.
class BpeEncoder {
 public:
  explicit BpeEncoder(const TokenizerTables& tables) : tables_(tables) {}

  // Appends the tokens of one piece of a pre-tokenizer: time n log n in its bytes. Bytes that have
  // no token give the unknown token, or nothing where there is none.
  void encode(std::string_view piece, std::vector<Token>& to);

 private:
  struct Symbol {
    Token token = kNoToken;
    std::uint32_t rank = kNoToken;  // of merging with the next one; kNoToken: they do not merge
    Token merged = kNoToken;        // what that gives
    std::uint32_t previous = 0;     // used where pieces are long
    std::uint32_t next = 0;
  };

  void find_merge(Symbol& left, Token right) const;
  void merge_short();
  void merge_long();
  void emit(Token token, std::vector<Token>& to) const;

  const TokenizerTables& tables_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> heap_;  // rank above, position below: the smallest is merged first
};

}  // namespace thaw::text
