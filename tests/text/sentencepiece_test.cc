// SentencePiece-style tokenizers against ids that the sentencepiece library gave.
#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "handler/text/tokenizer.h"
#include "vocabulary.h"

namespace thaw::text {
namespace {

using test::Built;
using Tokens = std::vector<Token>;

TokenizerSource trained_source() {
  auto source = test::read_vocabulary(test::data_path("sentencepiece.vocab"));
  EXPECT_TRUE(source);
  return *std::move(source);
}

std::string detokenise(const Built& tokenizer, const Tokens& tokens) {
  Detokenizer detokenizer(*tokenizer);
  std::string text;
  for (const Token token : tokens) text += detokenizer.push(token);
  return text + detokenizer.finish();
}

TEST(SentencePiece, EveryCaseGivesTheLibrarysIdsAndComesBack) {
  const Built tokenizer(trained_source());
  const auto cases = test::read_cases(test::data_path("sentencepiece.inp"));
  const auto wanted = test::read_ids(test::data_path("sentencepiece.out"));
  ASSERT_EQ(cases.size(), 172u);
  ASSERT_EQ(wanted.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Tokens tokens = tokenizer.encode(cases[i]);
    EXPECT_EQ(tokens, wanted[i]) << testing::PrintToString(cases[i]);
    if (cases[i].find("\u2581") == std::string::npos) {
      EXPECT_EQ(detokenise(tokenizer, tokens), cases[i]);
    }
  }
}

TEST(SentencePiece, RandomBytesComeBack) {
  constexpr std::uint64_t kSeed = 21;
  const Built tokenizer(trained_source());
  Random random(kSeed);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random.below(60), '\0');
    for (char& byte : text) byte = static_cast<char>(random.below(i % 2 == 0 ? 256 : 128));
    if (text.find("\u2581") != std::string::npos) continue;
    const std::string prefix = text.empty() ? "" : " ";
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), prefix + text) << "seed " << kSeed;
  }
}

// A word at a time must give what one heap over the whole text gives.
TEST(SentencePiece, WordsApartMergeAsTheWholeTextDoes) {
  TokenizerSource source = trained_source();
  const Built apart(source);
  source.tokens.push_back("zz\u2581zz");  // a space after something else: words no longer part
  source.types.push_back(TokenType::kNormal);
  source.scores.push_back(-1e9f);
  const Built together(source);
  const auto cases = test::read_cases(test::data_path("sentencepiece.inp"));
  for (const std::string& text : cases) EXPECT_EQ(apart.encode(text), together.encode(text));
}

TEST(SentencePiece, ASpaceGoesBeforeTextThatFollowsASpecialToken) {
  TokenizerSource source = trained_source();
  const Built tokenizer(source);
  const Tokens hello = tokenizer.encode("the");
  Tokens wanted = hello;
  wanted.push_back(*source.eos);
  wanted.insert(wanted.end(), hello.begin(), hello.end());
  EXPECT_EQ(tokenizer.encode("the</s>the", true), wanted);
  source.add_space_prefix = false;
  const Built bare(source);
  EXPECT_EQ(bare.decode(bare.encode("the")), "the");
  EXPECT_FALSE(bare->strips_leading_space());
}

TEST(SentencePiece, NeighbouringUnknownCharactersGiveOneUnknownToken) {
  TokenizerSource source;
  source.model = TokenizerSource::Model::kSentencePiece;
  source.tokens = {"<unk>", "a", "\u2581", "\u2581a"};
  source.types = {TokenType::kUnknown, TokenType::kNormal, TokenType::kNormal, TokenType::kNormal};
  source.scores = {0, -1, -2, -3};
  source.unknown = 0;
  EXPECT_EQ(Built(source).encode("axyaz  a"), (Tokens{1, 0, 1, 0, 2, 3}));
  source.unknown.reset();
  EXPECT_EQ(Built(source).encode("axya"), (Tokens{1, 1}));
}

TEST(SentencePiece, UnusedTokensComeApartAgain) {
  TokenizerSource source;
  source.model = TokenizerSource::Model::kSentencePiece;
  source.tokens = {"a", "b", "c", "ab", "abc"};
  source.types.assign(5, TokenType::kNormal);
  source.types[3] = TokenType::kUnused;
  source.scores = {-5, -6, -7, -1, -2};
  EXPECT_EQ(Built(source).encode("ab"), (Tokens{0, 1}));
  EXPECT_EQ(Built(source).encode("abc"), (Tokens{4}));
}

}  // namespace
}  // namespace thaw::text
