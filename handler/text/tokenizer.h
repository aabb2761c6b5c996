// Text to tokens and back. The tables lie in the snapshot ready to use: opening one checks bounds
// and computes pointers; it builds no map and allocates nothing per token of vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/text/tokenizer_tables.h"

namespace thaw::text {

using Token = std::uint32_t;

// A run of prompt text. Where `is_special`, special tokens are recognised in it; elsewhere (what
// users wrote) they never are.
struct Piece {
  std::string text;
  bool is_special = false;
};

// Token types as GGUF numbers them.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// What an importer (GGUF, tokenizer.json) hands over at freeze time.
struct TokenizerSource {
  enum class Model : std::uint8_t { kByteBpe, kSentencePiece };
  Model model = Model::kByteBpe;
  std::string pre;                  // pre-tokenizer as GGUF names it: "smollm", "qwen2", ...
  std::vector<std::string> tokens;  // as the file spells them (byte-level alphabet, or U+2581)
  std::vector<TokenType> types;     // as many as tokens
  std::vector<std::string> merges;  // "left right", by rank (kByteBpe)
  std::vector<float> scores;        // as many as tokens (kSentencePiece)
  std::optional<Token> bos, eos, unknown, padding;
  std::vector<Token> ends;  // generation stops at these: eos, eot, eom, ...
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool nfc = false;            // normalise text first
};

// The tables of a tokenizer, for the snapshot's kTokenizer section. Deterministic.
// Errors: kUnsupported (an unknown pre-tokenizer, naming it and those known)
//         kCorrupt     (merges of unknown tokens, duplicate tokens, ids out of range, sizes)
Result<std::vector<std::byte>> build_tokenizer(const TokenizerSource& source);

// Immutable; borrows the tables for its life.
class Tokenizer {
 public:
  // Errors: kCorrupt, kUnsupported (tables of another version).
  static Result<Tokenizer> open(Bytes tables);

  // Appends the tokens of `text` to `to`. `special`: recognise special tokens; added tokens that
  // are not special always are. Adds no BOS. Any bytes are good input, invalid UTF-8 included.
  void encode(std::string_view text, bool special, std::vector<Token>& to) const;
  // The tokens of a prompt: BOS first if the model wants it and `pieces` do not begin with it. The
  // pieces merge as one text; only what is special in them is kept apart.
  std::vector<Token> encode_prompt(std::span<const Piece> pieces) const;

  std::size_t vocabulary() const;
  // The bytes that a token stands for (may be part of a UTF-8 character); empty for ids out of
  // range. For control tokens their spelling.
  std::string_view bytes_of(Token token) const;
  TokenType type_of(Token token) const;
  bool is_end(Token token) const;
  std::optional<Token> bos() const;
  std::optional<Token> eos() const;
  bool adds_bos() const;
  bool strips_leading_space() const;  // SentencePiece: the first token's space is dropped
  std::string_view pre() const;

 private:
  explicit Tokenizer(const TokenizerTables& tables) : tables_(tables) {}
  TokenizerTables tables_;
};

// Tokens in, whole UTF-8 characters out: bytes of an unfinished character wait for the next token;
// invalid bytes become U+FFFD. Control tokens give no text. One thread at a time.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The text that `token` completes; may be empty.
  std::string push(Token token);
  // What is left at the end: an unfinished character as U+FFFD, else empty.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
  bool first_ = true;
};

}  // namespace thaw::text
