// Published vocabularies against the ids that their models' own tokenizers give.
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "base/random.h"
#include "base/str.h"
#include "handler/text/tokenizer.h"
#include "vocabulary.h"

namespace thaw::text {
namespace {

using test::Built;

Built build_from(const std::string& name) {
  auto source = test::read_vocabulary(test::data_path(cat(name, ".vocab")));
  EXPECT_TRUE(source) << name << ": " << source.error().message;
  return Built(*source);
}

class Vectors : public testing::TestWithParam<const char*> {};

TEST_P(Vectors, EveryCaseGivesItsIdsAndComesBack) {
  const Built tokenizer = build_from(GetParam());
  const auto cases = test::read_cases(test::data_path("cases.inp"));
  const auto wanted = test::read_ids(test::data_path(cat(GetParam(), ".out")));
  ASSERT_EQ(cases.size(), 46u);
  ASSERT_EQ(wanted.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto tokens = tokenizer.encode(cases[i]);
    EXPECT_EQ(tokens, wanted[i]) << "case " << i << ": " << testing::PrintToString(cases[i]);
    EXPECT_EQ(tokenizer.decode(tokens), cases[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, Vectors,
                         testing::Values("gpt-2", "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                         "qwen2", "smollm"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(TokenizerVectors, RandomBytesComeBack) {
  constexpr std::uint64_t kSeed = 11;
  const Built tokenizer = build_from("gpt-2");
  Random random(kSeed);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random.below(200), '\0');
    const std::uint64_t range = i % 2 == 0 ? 256 : 128;
    for (char& byte : text) byte = static_cast<char>(random.below(range));
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << "seed " << kSeed << " text " << i;
  }
}

double processor_seconds(const auto& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

// Ten times the text may take thirty times as long, never a hundred.
TEST(TokenizerVectors, LongTextsOfAnyKindTakeTimeInProportion) {
  const std::string prose = test::read_file(test::data_path("cases.inp"));
  for (const std::string name : {"gpt-2", "deepseek-coder", "sentencepiece"}) {
    const Built tokenizer = build_from(name);
    for (const std::string& unit : {prose, std::string("a"), std::string(" "), std::string("\xFF"),
                                    std::string("\xE4\xB8\xAD"), std::string("<|endoftext|>")}) {
      const auto seconds_for = [&](std::size_t bytes) {
        std::string text;
        while (text.size() < bytes) text += unit;
        return processor_seconds([&] { EXPECT_FALSE(tokenizer.encode(text, true).empty()); });
      };
      const double tenth = seconds_for(30'000);
      EXPECT_LT(seconds_for(300'000), 30 * tenth + 0.2)
          << name << " " << testing::PrintToString(unit.substr(0, 20));
    }
  }
}

TEST(TokenizerVectors, OpeningTakesLessThanAMillisecond) {
  const Built tokenizer = build_from("deepseek-llm");
  constexpr int kTimes = 100;
  const double seconds = processor_seconds([&] {
    for (int i = 0; i < kTimes; ++i) EXPECT_TRUE(Tokenizer::open(tokenizer.tables()));
  });
  EXPECT_LT(seconds / kTimes, 0.001);
}

}  // namespace
}  // namespace thaw::text
