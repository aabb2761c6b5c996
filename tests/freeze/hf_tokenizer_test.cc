#include "handler/freeze/hf_tokenizer.h"

#include <gtest/gtest.h>

#include "base/str.h"

namespace thaw::freeze {
namespace {

constexpr const char* kBytes = R"({"type":"ByteLevel","use_regex":true})";

std::string tokenizer_json(const std::string& pre, const std::string& more_model = "",
                           const std::string& normaliser = "null") {
  return cat(R"({"added_tokens":[{"id":4,"content":"<|end|>","special":true},)",
             R"({"id":5,"content":"<tool>","special":false}],"normalizer":)", normaliser,
             R"(,"pre_tokenizer":)", pre,
             R"(,"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3},"merges":["a b"])",
             more_model, "}}");
}

Result<HfTokenizer> read(const std::string& tokenizer, const std::string& config = "{}",
                         const std::string& generation = "") {
  return read_hf_tokenizer({tokenizer, config, generation, "{}", ""});
}

TEST(HfTokenizer, ReadsVocabularyMergesAndAddedTokens) {
  const auto read_it =
      read(tokenizer_json(kBytes), R"({"eos_token":"<|end|>"})", R"({"eos_token_id":[4,2]})");
  ASSERT_TRUE(read_it) << read_it.error().message;
  const text::TokenizerSource& source = read_it->source;
  EXPECT_EQ(source.tokens.size(), 6u);
  EXPECT_EQ(source.tokens[3], "ab");
  EXPECT_EQ(source.merges, std::vector<std::string>{"a b"});
  EXPECT_EQ(source.types[4], text::TokenType::kControl);
  EXPECT_EQ(source.types[5], text::TokenType::kUserDefined);
  EXPECT_EQ(source.eos, 4u);
  EXPECT_EQ(source.ends, (std::vector<text::Token>{2, 4}));
  EXPECT_EQ(source.pre, "gpt-2");
}

TEST(HfTokenizer, NamesPreTokenizersByWhatTheyDo) {
  const auto split = [](const std::string& regex) {
    return cat(R"({"type":"Split","pattern":{"Regex":")", regex, R"("},"behavior":"Isolated"})");
  };
  const std::string bytes = R"({"type":"ByteLevel","use_regex":false})";
  const auto sequence = [](const std::string& steps) {
    return cat(R"({"type":"Sequence","pretokenizers":[)", steps, "]}");
  };
  const std::string english =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}@| ?[^\\s\\p{L}\\p{N}]+)";
  const auto with = [&](const std::string& count) {
    std::string regex = english;
    return regex.replace(regex.find('@'), 1, count);
  };
  const std::pair<std::string, std::string> cases[] = {
      {sequence(R"({"type":"Digits","individual_digits":true},)" + std::string(kBytes)), "smollm"},
      {sequence(split(with("")) + "," + bytes), "qwen2"},
      {sequence(split(with("{1,3}")) + "," + bytes), "llama-bpe"},
  };
  for (const auto& [pre, name] : cases) {
    const auto read_it = read(tokenizer_json(pre));
    ASSERT_TRUE(read_it) << name << ": " << read_it.error().message;
    EXPECT_EQ(read_it->source.pre, name);
  }
}

TEST(HfTokenizer, ByteFallbackBecomesSentencePiece) {
  const auto read_it = read(tokenizer_json("null", R"(,"byte_fallback":true,"unk_token":"c")"));
  ASSERT_TRUE(read_it) << read_it.error().message;
  EXPECT_EQ(read_it->source.model, text::TokenizerSource::Model::kSentencePiece);
  EXPECT_EQ(read_it->source.unknown, 2u);
  EXPECT_LT(read_it->source.scores[3], 0);
}

TEST(HfTokenizer, ReadsNfcAndRefusesOtherNormalisers) {
  EXPECT_TRUE(read(tokenizer_json(kBytes, "", R"({"type":"NFC"})"))->source.nfc);
  const auto refused = read(tokenizer_json(kBytes, "", R"({"type":"Lowercase"})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_NE(refused.error().message.find("Lowercase"), std::string::npos);
}

TEST(HfTokenizer, TakesTheTemplateFromTheConfigOrItsFile) {
  EXPECT_EQ(read(tokenizer_json(kBytes), R"({"chat_template":"x"})")->chat_template, "x");
  EXPECT_EQ(read(tokenizer_json(kBytes),
                 R"({"chat_template":[{"name":"tool","template":"t"},
                     {"name":"default","template":"d"}]})")
                ->chat_template,
            "d");
  EXPECT_EQ(
      read_hf_tokenizer({tokenizer_json(kBytes), R"({"chat_template":"x"})", "", "{}", "file"})
          ->chat_template,
      "file");
}

TEST(HfTokenizer, RefusesWhatItCannotRead) {
  const auto code = [](const std::string& text) { return read(text).error().code; };
  EXPECT_EQ(code(""), Code::kUnsupported);
  EXPECT_EQ(code("["), Code::kCorrupt);
  EXPECT_EQ(code("{}"), Code::kCorrupt);
  EXPECT_EQ(code(R"({"model":{"type":"Unigram","vocab":[]}})"), Code::kUnsupported);
  EXPECT_EQ(code(tokenizer_json(R"({"type":"Whitespace"})")), Code::kUnsupported);
  EXPECT_EQ(code(R"({"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}})"), Code::kCorrupt);
  EXPECT_EQ(code(R"({"model":{"type":"BPE","vocab":{"a":99999999},"merges":[]}})"), Code::kCorrupt);
  EXPECT_EQ(code(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[7]}})"), Code::kCorrupt);
}

TEST(HfTokenizer, SurvivesDeepNesting) {
  const std::string deep(200'000, '[');
  EXPECT_FALSE(read(deep + std::string(200'000, ']')));
  const std::string pre = cat("{\"a\":", deep, std::string(200'000, ']'), "}");
  EXPECT_FALSE(read(tokenizer_json(pre)));
}

}  // namespace
}  // namespace thaw::freeze
