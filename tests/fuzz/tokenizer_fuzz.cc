// Fuzzes the tokenizers. Inputs that begin with 't' are text, for the tokenizer that the next byte
// names: what is encoded decodes to the same bytes, nothing in it becomes special, and the
// detokenizer gives whole characters. All others are tables after their first byte: whatever they
// hold, they open or not, and then can be used.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "../text/vocabulary.h"
#include "base/check.h"
#include "handler/text/tokenizer.h"
#include "handler/text/tokenizer_tables.h"
#include "handler/text/unicode.h"

namespace {

using namespace thaw;
using namespace thaw::text;

// Long enough for pieces that merge with a heap, short enough for many runs.
constexpr std::size_t kTextMax = 400;

std::vector<test::Built> make_tokenizers() {
  std::vector<test::Built> tokenizers;
  for (const char* pre :
       {"gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3"}) {
    TokenizerSource source = test::small_source(
        {"a b", "ab ab", "  a", "\n \n", "1 2", "\xE4 \xB8", "' s", "a a", "aa aa"},
        {{"<|end|>", TokenType::kControl}, {"<t>", TokenType::kUserDefined}});
    source.pre = pre;
    tokenizers.emplace_back(source);
  }
  auto pieces = test::read_vocabulary(test::data_path("sentencepiece.vocab"));
  THAW_CHECK(pieces.has_value());
  tokenizers.emplace_back(*pieces);
  return tokenizers;
}

bool is_whole(std::string_view text) {
  while (!text.empty()) {
    const Utf8 next = decode_utf8(text);
    if (next.status != Utf8::Status::kValid) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

// What SentencePiece's tokens spell: a space before the text, and spaces for U+2581.
std::string spaced(std::string_view text) {
  std::string to = text.empty() ? "" : " ";
  while (!text.empty()) {
    const bool is_block = text.starts_with("\u2581");
    to.push_back(is_block ? ' ' : text[0]);
    text.remove_prefix(is_block ? 3 : 1);
  }
  return to;
}

void use_text(std::uint8_t which, std::string_view text) {
  static const std::vector<test::Built> kTokenizers = make_tokenizers();
  const test::Built& tokenizer = kTokenizers[which % kTokenizers.size()];
  const std::vector<Token> tokens = tokenizer.encode(text, false);
  const bool is_byte_level = !tokenizer->strips_leading_space();
  THAW_CHECK(tokenizer.decode(tokens) == (is_byte_level ? std::string(text) : spaced(text)));
  Detokenizer detokenizer(*tokenizer);
  for (const Token token : tokens) {
    THAW_CHECK(tokenizer->type_of(token) != TokenType::kControl);
    THAW_CHECK(is_whole(detokenizer.push(token)));
  }
  THAW_CHECK(is_whole(detokenizer.finish()));
  if (is_byte_level) THAW_CHECK(tokenizer.decode(tokenizer.encode(text, true)) == text);
  std::string once;
  append_nfc(once, text);
  std::string twice;
  append_nfc(twice, once);
  THAW_CHECK(once == twice);
}

void use_tables(Bytes tables) {
  const auto tokenizer = Tokenizer::open(tables);
  if (!tokenizer) return;
  const std::vector<Piece> prompt = {{"<|end|>", true},
                                     {" aababab'sa <t>wow\n\n the 12\xFF\xE4\xB8\xAD", false}};
  Detokenizer detokenizer(*tokenizer);
  for (const Token token : tokenizer->encode_prompt(prompt)) {
    THAW_CHECK(token < tokenizer->vocabulary());
    THAW_CHECK(is_whole(detokenizer.push(token)));
    tokenizer->is_end(token);
  }
  for (const Token token : {Token{0}, Token{300}, Token{0xFFFFFFFF}}) {
    THAW_CHECK(is_whole(detokenizer.push(token)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] == 't') {
    if (size > 1) use_text(data[1], as_text(rest).substr(1, kTextMax));
  } else {
    // A copy of its own, so that a read beyond the end is seen.
    const std::vector<std::byte> tables(rest.begin(), rest.end());
    use_tables(tables);
  }
  return 0;
}

// Sets the header's constants and size right, so that what lies behind them is reached.
extern "C" void thaw_fuzz_mend(std::uint8_t* data, std::size_t size) {
  if (size < 1 + sizeof(TablesHeader) || data[0] == 't') return;
  const std::uint32_t fixed[] = {kTablesMagic, kTablesVersion,
                                 static_cast<std::uint32_t>(size - 1)};
  std::memcpy(data + 1, fixed, sizeof fixed);
}
