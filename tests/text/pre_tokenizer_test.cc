// The scanners against the regular expressions that they stand for, as PCRE2 runs them.
#include "handler/text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "handler/text/unicode.h"
#include "regex_oracle.h"

namespace thaw::text {
namespace {

using test::RegexOracle;

const std::string kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string kEastern = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";

std::vector<std::string> expressions_of(PreTokenizer pre) {
  const std::string contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  switch (pre) {
    case PreTokenizer::kNone: return {};
    case PreTokenizer::kGpt2: return {kGpt2};
    case PreTokenizer::kSmolLm: return {R"(\p{N})", kGpt2};
    case PreTokenizer::kLlama3:
      return {contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})" + rest};
    case PreTokenizer::kQwen2: return {contractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" + rest};
    case PreTokenizer::kDeepSeekLlm:
      return {
          R"([\r\n])",
          "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-"
          "\u0293\u0295-"
          "\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1"
          "\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-"
          "\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15"
          "\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D"
          "\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB"
          "\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D"
          "\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E"
          "\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-"
          "\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17"
          "\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-"
          "\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-"
          "\U0001E943]+",
          "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+",
          R"(\s+$)",
          kEastern,
          R"(\p{N}+)"};
    case PreTokenizer::kDeepSeekCoder:
      return {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kEastern, R"(\p{N})"};
    case PreTokenizer::kDeepSeekV3:
      return {R"(\p{N}{1,3})", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
              R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)re"
              R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
              R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  }
  return {};
}

struct Named {
  const char* name;
  PreTokenizer pre;
};
const Named kAll[] = {
    {"gpt-2", PreTokenizer::kGpt2},
    {"smollm", PreTokenizer::kSmolLm},
    {"llama-bpe", PreTokenizer::kLlama3},
    {"qwen2", PreTokenizer::kQwen2},
    {"deepseek-llm", PreTokenizer::kDeepSeekLlm},
    {"deepseek-coder", PreTokenizer::kDeepSeekCoder},
    {"deepseek-v3", PreTokenizer::kDeepSeekV3},
};

// Code points that the two libraries' versions of Unicode class alike, and those that scripts and
// trouble are made of more often.
class TextMaker {
 public:
  explicit TextMaker(std::uint64_t seed) : random_(seed) {}

  char32_t character() {
    struct Pool {
      char32_t first;
      char32_t last;
    };
    static constexpr Pool kPools[] = {
        {'a', 'z'},         {'A', 'Z'},         {'0', '9'},         {0x21, 0x2F},
        {0x3A, 0x40},       {0x5B, 0x60},       {0x7B, 0x7E},       {0xA0, 0xFF},
        {0x100, 0x24F},     {0x300, 0x36F},     {0x370, 0x3FF},     {0x400, 0x4FF},
        {0x531, 0x587},     {0x5D0, 0x5EA},     {0x600, 0x6FF},     {0x900, 0x97F},
        {0xE00, 0xE5B},     {0x10A0, 0x10FF},   {0x1100, 0x11FF},   {0x13A0, 0x13FF},
        {0x1D00, 0x1DBF},   {0x1E00, 0x1FFF},   {0x2000, 0x206F},   {0x2070, 0x20BF},
        {0x2100, 0x218F},   {0x2190, 0x22FF},   {0x2C00, 0x2D2F},   {0x3000, 0x30FF},
        {0x4DF0, 0x4E10},   {0x9F90, 0x9FB0},   {0x4E00, 0x9FFF},   {0xA640, 0xA7FF},
        {0xABF0, 0xAC10},   {0xAC00, 0xD7A3},   {0xE000, 0xE010},   {0xFB00, 0xFB4F},
        {0xFE00, 0xFE6F},   {0xFF01, 0xFFEF},   {0x10400, 0x104FF}, {0x10C80, 0x10CFF},
        {0x1D7C0, 0x1D7FF}, {0x1E900, 0x1E95F}, {0x1F300, 0x1F64F}, {0x20000, 0x20010},
    };
    static constexpr char32_t kTroubles[] = {
        ' ',    ' ',    ' ',    '\n',   '\r',   '\t',   '\'',   0xB,    0xC,      0x85,   0xA0,
        0x1680, 0x2003, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x200B, 0x200D,   0xFE0F, 0xFEFF,
        0x17F,  0x212A, 0x130,  0x131,  0xDF,   0x345,  0x0,    0x1F,   0x7F,     0x378,  0xFFFF,
        0xE001, 's',    't',    'l',    'L',    0xAD,   0x1FBE, 0x2126, 0x10FFFF,
    };
    const auto pick = [&](const auto& from) -> const auto& {
      return from[random_.below(std::size(from))];
    };
    for (;;) {
      char32_t c = 0;
      if (random_.below(3) == 0) {
        c = pick(kTroubles);
      } else {
        const Pool& pool =
            kPools[random_.below(2) == 0 ? random_.below(7) : random_.below(std::size(kPools))];
        c = pool.first + static_cast<char32_t>(random_.below(pool.last - pool.first + 1));
      }
      if (class_of(c) == test::regex_class_of(c)) return c;
    }
  }

  std::u32string text() {
    static constexpr std::u32string_view kPhrases[] = {
        U"'s",     U"'LL",   U"'Re",        U"'ve ",         U" 'd",      U"   ",
        U"\n\n",   U" \n ",  U"\r\n\r\n",   U"  x",          U"123456",   U"\t\tfoo",
        U" ...\n", U"don't", U"I'\u017Fee", U"\u3000\u3002", U"a\u0301b",
    };
    std::u32string text;
    for (std::uint64_t count = 1 + random_.below(24); count > 0; --count) {
      const std::uint64_t kind = random_.below(8);
      if (kind == 0) {
        text += kPhrases[random_.below(std::size(kPhrases))];
      } else {
        const char32_t c = character();
        text.append(kind == 1 ? 1 + random_.below(5) : 1, c);
      }
    }
    return text;
  }

  bool chance(std::uint64_t of) { return random_.below(of) == 0; }
  char invalid_byte() {
    static constexpr char kBytes[] = {'\x80', '\xBF', '\xC0', '\xC1', '\xF5', '\xFF', '\xFE'};
    return kBytes[random_.below(std::size(kBytes))];
  }

 private:
  Random random_;
};

TEST(PreTokenizer, CutsRandomTextWhereItsRegularExpressionsDo) {
  constexpr std::uint64_t kSeed = 20240607;
  for (const Named& named : kAll) {
    ASSERT_EQ(pre_tokenizer_named(named.name), named.pre);
    const RegexOracle oracle(expressions_of(named.pre));
    TextMaker maker(kSeed);
    for (int i = 0; i < 4000; ++i) {
      // An invalid byte is for the oracle a private-use character: as classless as it is.
      std::string text;
      std::string stand_in;
      std::vector<std::size_t> offsets = {0};  // in `text`, by offset in `stand_in`
      for (const char32_t c : maker.text()) {
        append_utf8(text, c);
        append_utf8(stand_in, c);
        while (offsets.size() <= stand_in.size()) offsets.push_back(text.size());
        if (!maker.chance(40)) continue;
        text.push_back(maker.invalid_byte());
        append_utf8(stand_in, 0xF0000);
        while (offsets.size() <= stand_in.size()) offsets.push_back(text.size());
      }
      std::vector<std::size_t> ends;
      split(named.pre, text, ends);
      std::vector<std::size_t> wanted;
      for (const std::size_t end : oracle.split(stand_in)) wanted.push_back(offsets[end]);
      ASSERT_EQ(ends, wanted) << named.name << " seed " << kSeed << " text " << i << ": "
                              << testing::PrintToString(text);
    }
  }
}

TEST(PreTokenizer, LongRunsTakeTimeInProportion) {
  for (const Named& named : kAll) {
    for (const std::string_view unit :
         {" ", "a", "\n", " \n", "\x01", "\xFF", "1", ".", "\u3000"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      text += "x";
      std::vector<std::size_t> ends;
      split(named.pre, text, ends);
      ASSERT_FALSE(ends.empty());
      EXPECT_EQ(ends.back(), text.size());
    }
  }
}

TEST(PreTokenizer, EmptyTextHasNoPieces) {
  for (const Named& named : kAll) {
    std::vector<std::size_t> ends;
    split(named.pre, "", ends);
    EXPECT_TRUE(ends.empty()) << named.name;
  }
}

TEST(PreTokenizer, KnowsItsNamesAndNoOthers) {
  EXPECT_EQ(pre_tokenizer_named("deepseek-r1-qwen"), PreTokenizer::kQwen2);
  EXPECT_EQ(pre_tokenizer_named("tekken"), std::nullopt);
  EXPECT_EQ(pre_tokenizer_named(""), std::nullopt);
  EXPECT_NE(pre_tokenizer_names().find("deepseek-v3"), std::string::npos);
}

}  // namespace
}  // namespace thaw::text
