// Reads the vocabularies under tests/data/vocab (make_vocab.py writes them) and the cases beside
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "handler/text/tokenizer.h"

namespace thaw::text::test {

std::string read_file(const std::string& path);
std::string data_path(std::string_view name);  // in tests/data/vocab

// Errors: kNotFound, kCorrupt.
Result<TokenizerSource> read_vocabulary(const std::string& path);

// The texts of a .inp file, and the ids of each in a .out file.
std::vector<std::string> read_cases(const std::string& path);
std::vector<std::vector<Token>> read_ids(const std::string& path);

// Tables with the tokenizer over them.
class Built {
 public:
  explicit Built(const TokenizerSource& source);  // aborts the test program on an error
  const Tokenizer& operator*() const { return *tokenizer_; }
  const Tokenizer* operator->() const { return &*tokenizer_; }
  const std::vector<std::byte>& tables() const { return tables_; }

  std::vector<Token> encode(std::string_view text, bool special = false) const;
  std::string decode(const std::vector<Token>& tokens) const;  // the bytes of each, joined

 private:
  std::vector<std::byte> tables_;
  std::optional<Tokenizer> tokenizer_;
};

// A byte-level vocabulary made on the spot: the 256 bytes, then what `merges` give, then `added`.
TokenizerSource small_source(const std::vector<std::string>& merges,
                             const std::vector<std::pair<std::string, TokenType>>& added = {});

// The spelling of bytes in the byte-level alphabet.
std::string byte_level(std::string_view bytes);

}  // namespace thaw::text::test
