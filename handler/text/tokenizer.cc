#include "handler/text/tokenizer.h"

#include <utility>

#include "handler/text/bpe.h"
#include "handler/text/pre_tokenizer.h"
#include "handler/text/sentencepiece.h"
#include "handler/text/tokenizer_tables.h"
#include "handler/text/unicode.h"

namespace thaw::text {
namespace {

std::optional<Token> token_or_nothing(const TokenizerTables& tables, Token token) {
  if (token >= tables.vocabulary()) return std::nullopt;
  return token;
}

// One call's way from pieces to tokens. Added tokens are cut out first, special ones only of
// special pieces; the text between them is joined across pieces, so that it merges as if it were
// one text.
class Encoder {
 public:
  Encoder(const TokenizerTables& tables, std::vector<Token>& to)
      : tables_(tables), to_(to), bpe_(tables), sentencepiece_(tables) {}

  void add(std::string_view text, bool special) {
    if (!special) {
      pending_ += text;
      return;
    }
    cut(
        text, true, [&](std::string_view raw) { pending_ += raw; },
        [&](Token token) {
          finish();
          push_added(token);
        });
  }

  void finish() {
    const std::string raw = std::exchange(pending_, {});
    cut(
        raw, false, [&](std::string_view part) { encode_raw(part); },
        [&](Token token) { push_added(token); });
  }

 private:
  // Calls `on_raw` for text between added tokens and `on_token` for these, in order.
  template <class OnRaw, class OnToken>
  void cut(std::string_view text, bool special, OnRaw on_raw, OnToken on_token) {
    std::size_t begin = 0;
    for (std::size_t at = 0; tables_.has_added() && at < text.size();) {
      const Token token = tables_.may_begin_added(text[at], special)
                              ? tables_.match_added(text.substr(at), special)
                              : kNoToken;
      if (token == kNoToken) {
        ++at;
        continue;
      }
      if (at > begin) on_raw(text.substr(begin, at - begin));
      on_token(token);
      at += tables_.bytes_of(token).size();
      begin = at;
    }
    if (begin < text.size()) on_raw(text.substr(begin));
  }

  void push_added(Token token) {
    to_.push_back(token);
    is_after_added_ = true;
  }

  void encode_raw(std::string_view text) {
    std::string normalised;
    if (tables_.has(kFlagNfc) && !is_surely_nfc(text)) {
      append_nfc(normalised, text);
      text = normalised;
    }
    if (tables_.has(kFlagSentencePiece)) {
      encode_sentencepiece(text);
    } else {
      encode_bpe(text);
    }
    is_after_added_ = false;
  }

  void encode_bpe(std::string_view text) {
    ends_.clear();
    split(tables_.pre(), text, ends_);
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      bpe_.encode(text.substr(begin, end - begin), to_);
      begin = end;
    }
  }

  // U+2581 in the text is what SentencePiece writes for a space, so it becomes one.
  void encode_sentencepiece(std::string_view text) {
    constexpr std::string_view kBlock = "\xE2\x96\x81";
    std::string spaced;
    spaced.reserve(text.size() + 1);
    if (is_after_added_ && tables_.has(kFlagAddSpacePrefix)) spaced.push_back(' ');
    for (;;) {
      const std::size_t block = text.find(kBlock);
      spaced += text.substr(0, block);
      if (block == std::string_view::npos) break;
      spaced.push_back(' ');
      text.remove_prefix(block + kBlock.size());
    }
    sentencepiece_.encode(spaced, to_);
  }

  const TokenizerTables& tables_;
  std::vector<Token>& to_;
  BpeEncoder bpe_;
  SentencePieceEncoder sentencepiece_;
  std::string pending_;
  std::vector<std::size_t> ends_;
  bool is_after_added_ = true;  // the beginning counts as such
};

}  // namespace

Result<Tokenizer> Tokenizer::open(Bytes tables) {
  THAW_TRY(view, TokenizerTables::open(tables));
  return Tokenizer(view);
}

void Tokenizer::encode(std::string_view text, bool special, std::vector<Token>& to) const {
  Encoder encoder(tables_, to);
  encoder.add(text, special);
  encoder.finish();
}

std::vector<Token> Tokenizer::encode_prompt(std::span<const Piece> pieces) const {
  std::vector<Token> tokens;
  Encoder encoder(tables_, tokens);
  for (const Piece& piece : pieces) encoder.add(piece.text, piece.is_special);
  encoder.finish();
  const bool wants_bos = adds_bos() && bos().has_value();
  if (wants_bos && (tokens.empty() || tokens.front() != *bos())) {
    tokens.insert(tokens.begin(), *bos());
  }
  return tokens;
}

std::size_t Tokenizer::vocabulary() const { return tables_.vocabulary(); }

std::string_view Tokenizer::bytes_of(Token token) const { return tables_.bytes_of(token); }

TokenType Tokenizer::type_of(Token token) const {
  const std::uint8_t type = tables_.type_of(token);
  const bool is_known = type >= static_cast<std::uint8_t>(TokenType::kNormal) &&
                        type <= static_cast<std::uint8_t>(TokenType::kByte);
  return is_known ? static_cast<TokenType>(type) : TokenType::kUnused;
}

bool Tokenizer::is_end(Token token) const { return tables_.is_end(token); }

std::optional<Token> Tokenizer::bos() const {
  return token_or_nothing(tables_, tables_.header().bos);
}

std::optional<Token> Tokenizer::eos() const {
  return token_or_nothing(tables_, tables_.header().eos);
}

bool Tokenizer::adds_bos() const { return tables_.has(kFlagAddBos); }

bool Tokenizer::strips_leading_space() const {
  return tables_.has(kFlagSentencePiece) && tables_.has(kFlagAddSpacePrefix);
}

std::string_view Tokenizer::pre() const { return tables_.pre_name(); }

}  // namespace thaw::text
