#include "handler/text/tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/random.h"
#include "handler/text/tokenizer_tables.h"
#include "vocabulary.h"

namespace thaw::text {
namespace {

using test::Built;
using test::small_source;
using Tokens = std::vector<Token>;

constexpr auto kControl = TokenType::kControl;
constexpr auto kUserDefined = TokenType::kUserDefined;

// The 256 bytes, he, hel, hell, hello, lo, " w", then three added tokens: ids 256 and on.
TokenizerSource hello_source() {
  return small_source({"h e", "he l", "hel l", "hell o", "l o", "  w"},
                      {{"<|end|>", kControl}, {"<tool>", kUserDefined}, {"<tool>>", kUserDefined}});
}
constexpr Token kHello = 259;
constexpr Token kSpaceW = 261;
constexpr Token kEnd = 262;
constexpr Token kTool = 263;
constexpr Token kLongTool = 264;

Code code_of(const TokenizerSource& source) {
  const auto built = build_tokenizer(source);
  EXPECT_FALSE(built);
  return built ? Code::kUnavailable : built.error().code;
}

TEST(Tokenizer, MergesByRank) {
  const Built tokenizer(hello_source());
  EXPECT_EQ(tokenizer.encode("hello wo"), (Tokens{kHello, kSpaceW, 'o'}));
  EXPECT_EQ(tokenizer.encode("lo"), (Tokens{260}));
  EXPECT_EQ(tokenizer.encode(""), Tokens{});
}

TEST(Tokenizer, ShortAndLongPiecesMergeAlike) {
  // Ranks in an order that no single pass gets right; pieces are runs of letters.
  const Built tokenizer(small_source({"a b", "b a", "ab ab", "a a", "aa b", "abab a"}));
  constexpr std::uint64_t kSeed = 3;
  Random random(kSeed);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::uint64_t n = 1 + random.below(90); n > 0; --n)
      text.push_back(random.below(2) == 0 ? 'a' : 'b');
    // The oracle: merge the leftmost pair of the lowest rank, over and over.
    std::vector<std::string> parts;
    for (const char c : text) parts.emplace_back(1, c);
    const std::pair<std::string, std::string> merges[] = {{"a", "b"}, {"b", "a"},  {"ab", "ab"},
                                                          {"a", "a"}, {"aa", "b"}, {"abab", "a"}};
    for (bool is_merged = true; is_merged;) {
      is_merged = false;
      for (const auto& [left, right] : merges) {
        for (std::size_t at = 0; at + 1 < parts.size() && !is_merged; ++at) {
          if (parts[at] != left || parts[at + 1] != right) continue;
          parts[at] += right;
          parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
          is_merged = true;
        }
        if (is_merged) break;
      }
    }
    std::vector<std::string> got;
    for (const Token token : tokenizer.encode(text)) got.emplace_back(tokenizer->bytes_of(token));
    ASSERT_EQ(got, parts) << "seed " << kSeed << ": " << text;
  }
}

TEST(Tokenizer, WhatUsersWriteIsNeverSpecial) {
  const Built tokenizer(hello_source());
  EXPECT_EQ(tokenizer.encode("hello<|end|>", true), (Tokens{kHello, kEnd}));
  const Tokens plain = tokenizer.encode("hello<|end|>", false);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), kEnd), 0);
  EXPECT_EQ(tokenizer.decode(plain), "hello<|end|>");
}

TEST(Tokenizer, NoMergeGivesASpecialToken) {
  TokenizerSource source = small_source({"< |", "<| >"});
  source.types.back() = kControl;  // "<|>"
  const Built tokenizer(source);
  EXPECT_EQ(tokenizer.encode("<|>", false), (Tokens{256, '>'}));
  EXPECT_EQ(tokenizer.encode("<|>", true), (Tokens{257}));
  source.ignore_merges = true;
  EXPECT_EQ(Built(source).encode("<|>", false), (Tokens{256, '>'}));
}

TEST(Tokenizer, AddedTokensThatAreNotSpecialAreAlwaysCutOutLongestFirst) {
  const Built tokenizer(hello_source());
  EXPECT_EQ(tokenizer.encode("<tool>x<tool>><tool"),
            (Tokens{kTool, 'x', kLongTool, '<', 't', 'o', 'o', 'l'}));
}

TEST(Tokenizer, PiecesMergeAsOneTextAndKeepSpecialApart) {
  const Built tokenizer(hello_source());
  const std::vector<Piece> pieces = {
      {"<|end|>hel", true}, {"lo", false}, {"<|e", true}, {"nd|>", false}, {"<|end|>", true}};
  const Tokens tokens = tokenizer->encode_prompt(pieces);
  Tokens wanted = {kEnd, kHello};
  for (const char c : std::string("<|end|>")) wanted.push_back(static_cast<Token>(c));
  wanted.push_back(kEnd);
  EXPECT_EQ(tokens, wanted);
}

TEST(Tokenizer, AddsBosOnceWhereTheModelWantsIt) {
  TokenizerSource source = hello_source();
  source.bos = kEnd;
  const std::vector<Piece> without = {{"hello", true}};
  const std::vector<Piece> with = {{"<|end|>hello", true}};
  const std::vector<Piece> faked = {{"<|end|>", false}, {"hello", true}};
  EXPECT_EQ(Built(source)->encode_prompt(without), (Tokens{kHello}));
  source.add_bos = true;
  const Built tokenizer(source);
  EXPECT_EQ(tokenizer->encode_prompt(without), (Tokens{kEnd, kHello}));
  EXPECT_EQ(tokenizer->encode_prompt(with), (Tokens{kEnd, kHello}));
  EXPECT_EQ(tokenizer->encode_prompt(faked).size(), 9u);
  EXPECT_EQ(tokenizer->encode_prompt({}), (Tokens{kEnd}));
}

TEST(Tokenizer, TakesWholePiecesWhereMergesAreIgnored) {
  // "abc" is a token, but no merges lead to it.
  TokenizerSource source = small_source({"a b"});
  source.tokens.push_back("abc");
  source.types.push_back(TokenType::kNormal);
  EXPECT_EQ(Built(source).encode("abc"), (Tokens{256, 'c'}));
  source.ignore_merges = true;
  EXPECT_EQ(Built(source).encode("abc"), (Tokens{257}));
  EXPECT_EQ(Built(source).encode("abcc"), (Tokens{256, 'c', 'c'}));
}

TEST(Tokenizer, NormalisesWhereTheModelWantsIt) {
  TokenizerSource source = small_source({"\xC3 \xA9"});
  EXPECT_EQ(Built(source).encode("e\xCC\x81"), (Tokens{'e', 0xCC, 0x81}));
  source.nfc = true;
  EXPECT_EQ(Built(source).encode("e\xCC\x81"), (Tokens{256}));
  EXPECT_EQ(Built(source).encode("\xFF\xC3"), (Tokens{0xFF, 0xC3}));
}

TEST(Tokenizer, BytesWithoutATokenGiveTheUnknownOneUnlessItIsSpecial) {
  TokenizerSource source = small_source({}, {{"<unk>", TokenType::kUnknown}, {"<eot>", kControl}});
  source.tokens['z'] = "<was z>";
  source.unknown = 256;
  EXPECT_EQ(Built(source).encode("azb"), (Tokens{'a', 256, 'b'}));
  source.unknown = 257;
  EXPECT_EQ(Built(source).encode("azb"), (Tokens{'a', 'b'}));
  source.unknown.reset();
  EXPECT_EQ(Built(source).encode("azb"), (Tokens{'a', 'b'}));
}

TEST(Tokenizer, TellsWhatItsSourceSaid) {
  TokenizerSource source = hello_source();
  source.eos = kEnd;
  source.ends = {kTool, kEnd};
  const Built tokenizer(source);
  EXPECT_EQ(tokenizer->vocabulary(), 265u);
  EXPECT_EQ(tokenizer->bytes_of(kEnd), "<|end|>");
  EXPECT_EQ(tokenizer->bytes_of(kSpaceW), " w");
  EXPECT_EQ(tokenizer->bytes_of(265), "");
  EXPECT_EQ(tokenizer->type_of(kTool), kUserDefined);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  EXPECT_EQ(tokenizer->eos(), kEnd);
  EXPECT_TRUE(tokenizer->is_end(kEnd));
  EXPECT_TRUE(tokenizer->is_end(kTool));
  EXPECT_FALSE(tokenizer->is_end(kHello));
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_FALSE(tokenizer->strips_leading_space());
  EXPECT_EQ(tokenizer->pre(), "gpt-2");
}

TEST(TokenizerBuild, RefusesAnUnknownPreTokenizerByName) {
  TokenizerSource source = hello_source();
  source.pre = "tekken";
  const auto built = build_tokenizer(source);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().code, Code::kUnsupported);
  EXPECT_NE(built.error().message.find("tekken"), std::string::npos);
  EXPECT_NE(built.error().message.find("deepseek-llm"), std::string::npos);
}

TEST(TokenizerBuild, RefusesWhatContradictsItself) {
  const auto broken = [](auto damage) {
    TokenizerSource source = hello_source();
    damage(source);
    return code_of(source);
  };
  const Code kWanted = Code::kCorrupt;
  EXPECT_EQ(broken([](auto& s) { s.tokens.clear(), s.types.clear(), s.merges.clear(); }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.types.pop_back(); }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.types[3] = static_cast<TokenType>(7); }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.types[3] = TokenType::kByte; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.tokens[1] = s.tokens[0]; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.merges[0] = "he"; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.merges[0] = "h "; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.merges[0] = ""; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.merges[0] = "q q"; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.bos = 265; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.eos = 265; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.unknown = 265; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.padding = 265; }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.ends = {265}; }), kWanted);
  EXPECT_EQ(broken([](auto& s) {
              for (Token token = 0; token <= kEndsMax; ++token) s.ends.push_back(token);
            }),
            kWanted);
  EXPECT_EQ(broken([](auto& s) { s.tokens[9] = std::string(kTokenBytesMax + 1, 'x'); }), kWanted);
  EXPECT_EQ(broken([](auto& s) { s.model = TokenizerSource::Model::kSentencePiece; }), kWanted);
  EXPECT_EQ(broken([](auto& s) {
              s.model = TokenizerSource::Model::kSentencePiece;
              s.scores.assign(s.tokens.size(), 0.0f / 0.0f);
            }),
            kWanted);
}

// A change of these bytes is a change of format: kTablesVersion must then change too.
TEST(TokenizerBuild, GivesTheSameBytesForever) {
  const Built tokenizer(hello_source());
  EXPECT_EQ(tokenizer.tables(), Built(hello_source()).tables());
  EXPECT_EQ(crc32c(tokenizer.tables()), 1995535740u);
}

TEST(TokenizerOpen, RefusesEveryCutAndAnotherVersion) {
  const Built tokenizer(hello_source());
  const std::vector<std::byte>& tables = tokenizer.tables();
  for (std::size_t size = 0; size < tables.size(); ++size) {
    const auto opened = Tokenizer::open(Bytes(tables).first(size));
    ASSERT_FALSE(opened) << size;
    ASSERT_EQ(opened.error().code, Code::kCorrupt) << size;
  }
  std::vector<std::byte> newer = tables;
  newer[4] = std::byte{2};
  const auto opened = Tokenizer::open(newer);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
}

TEST(TokenizerOpen, SurvivesEveryDamagedByte) {
  TokenizerSource source = hello_source();
  source.bos = kEnd;
  source.add_bos = true;
  TokenizerSource pieces = *test::read_vocabulary(test::data_path("sentencepiece.vocab"));
  pieces.tokens.resize(400);
  pieces.types.resize(400);
  pieces.scores.resize(400);
  for (const TokenizerSource& from : {source, pieces}) {
    const Built tokenizer(from);
    const std::vector<std::byte>& tables = tokenizer.tables();
    const std::vector<Piece> prompt = {{"<|end|>", true},
                                       {" hello<tool>> wow the the\xFF\xE4\xB8", false}};
    std::vector<std::byte> damaged = tables;
    for (std::size_t at = 0; at < tables.size(); ++at) {
      for (const auto damage : {std::byte{0x01}, std::byte{0x80}, std::byte{0xFF}}) {
        damaged[at] = tables[at] ^ damage;
        const auto opened = Tokenizer::open(damaged);
        if (!opened) continue;
        Detokenizer detokenizer(*opened);
        for (const Token token : opened->encode_prompt(prompt)) {
          ASSERT_LT(token, opened->vocabulary());
          detokenizer.push(token);
        }
        detokenizer.finish();
      }
      damaged[at] = tables[at];
    }
  }
}

}  // namespace
}  // namespace thaw::text
