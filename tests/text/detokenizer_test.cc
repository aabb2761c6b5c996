#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "handler/text/tokenizer.h"
#include "handler/text/unicode.h"
#include "vocabulary.h"

namespace thaw::text {
namespace {

using test::Built;
using test::small_source;

// What a reader of the whole byte string would see: maximal subparts become U+FFFD.
std::string replaced(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8 next = decode_utf8(bytes);
    const bool is_valid = next.status == Utf8::Status::kValid;
    text += is_valid ? bytes.substr(0, next.bytes) : "\uFFFD";
    bytes.remove_prefix(next.bytes);
  }
  return text;
}

bool is_whole(std::string_view text) { return replaced(text) == text; }

TEST(Detokenizer, NeverGivesHalfACharacter) {
  const Built tokenizer(small_source({}));
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0x98), "");
  EXPECT_EQ(detokenizer.push(0x80), "\U0001F600");
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xE4), "");
  EXPECT_EQ(detokenizer.push('b'),
            "\uFFFD"
            "b");
  EXPECT_EQ(detokenizer.push(0xE4), "");
  EXPECT_EQ(detokenizer.push(0xB8), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, RandomBytesGiveWhatTheWholeTextWouldGive) {
  constexpr std::uint64_t kSeed = 8;
  const Built tokenizer(small_source({"\xE4 \xB8", "\x80 \xF0", "\xC3 a"}));
  Random random(kSeed);
  for (int i = 0; i < 5000; ++i) {
    static constexpr std::uint8_t kBytes[] = {'a',  0x80, 0x8F, 0x9F, 0xA0, 0xB8, 0xBF, 0xC1,
                                              0xC3, 0xE0, 0xE4, 0xED, 0xF0, 0xF4, 0xF5, 0xFF};
    Detokenizer detokenizer(*tokenizer);
    std::string bytes;
    std::string text;
    for (std::uint64_t n = random.below(20); n > 0; --n) {
      const Token token = random.below(6) == 0 ? static_cast<Token>(256 + random.below(3))
                                               : Token{kBytes[random.below(std::size(kBytes))]};
      bytes += tokenizer->bytes_of(token);
      const std::string piece = detokenizer.push(token);
      ASSERT_TRUE(is_whole(piece));
      text += piece;
    }
    text += detokenizer.finish();
    ASSERT_EQ(text, replaced(bytes)) << "seed " << kSeed << ": " << testing::PrintToString(bytes);
  }
}

TEST(Detokenizer, ControlTokensGiveNoTextAndUserDefinedOnesDo) {
  const Built tokenizer(small_source({}, {{"<|end|>", TokenType::kControl},
                                          {"<think>", TokenType::kUserDefined},
                                          {"[PAD]", TokenType::kUnused}}));
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push(0xC3), "");
  EXPECT_EQ(detokenizer.push(256), "");
  EXPECT_EQ(detokenizer.push(0xA9), "\u00E9");
  EXPECT_EQ(detokenizer.push(257), "<think>");
  EXPECT_EQ(detokenizer.push(258), "");
  EXPECT_EQ(detokenizer.push(100'000), "");
}

TEST(Detokenizer, DropsTheSpaceBeforeSentencePiecesFirstToken) {
  TokenizerSource source;
  source.model = TokenizerSource::Model::kSentencePiece;
  source.tokens = {"<s>", "\u2581a", "\u2581\u2581", "<0x20>"};
  source.types = {TokenType::kControl, TokenType::kNormal, TokenType::kNormal, TokenType::kByte};
  source.scores = {0, 0, 0, 0};
  source.add_space_prefix = true;
  const Built tokenizer(source);
  Detokenizer words(*tokenizer);
  EXPECT_EQ(words.push(0), "");
  EXPECT_EQ(words.push(1), "a");
  EXPECT_EQ(words.push(1), " a");
  Detokenizer spaces(*tokenizer);
  EXPECT_EQ(spaces.push(2), " ");
  Detokenizer byte(*tokenizer);
  EXPECT_EQ(byte.push(3), " ");
}

}  // namespace
}  // namespace thaw::text
