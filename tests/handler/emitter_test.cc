// What a sink gets of generated tokens: whole characters, no stop strings, scores, thought apart.
#include "handler/emitter.h"

#include <gtest/gtest.h>

#include "../text/vocabulary.h"

namespace thaw::handler {
namespace {

using text::Token;
using text::test::Built;
using text::test::small_source;

// The bytes are tokens 0 to 255; <think> and </think> are 256 and 257.
constexpr Token kThink = 256;
constexpr Token kUnthink = 257;

const Built& tokenizer() {
  static const Built built(small_source({}, {{"<think>", text::TokenType::kUserDefined},
                                             {"</think>", text::TokenType::kUserDefined}}));
  return built;
}

struct Got {
  std::string text;
  std::string reasoning;
  std::vector<std::string> tokens;  // of those that came with scores
  std::vector<std::size_t> counts;  // of tokens, piece by piece
  bool stopped = false;
  std::uint32_t reasoning_tokens = 0;
};

Got emit(const GenerationRequest& request, const std::vector<Token>& prompt,
         const std::vector<Token>& tokens) {
  Got got;
  const TextSink sink = [&](const TextPiece& piece) {
    (piece.reasoning ? got.reasoning : got.text) += piece.text;
    got.counts.push_back(piece.tokens.size());
    for (const ScoredToken& token : piece.tokens) {
      got.tokens.emplace_back(token.chosen.bytes);
      EXPECT_EQ(token.top.size(), request.top_logprobs);
      EXPECT_LE(token.chosen.logprob, 0);
      EXPECT_GE(token.top.at(0).logprob, token.chosen.logprob);
    }
    return true;
  };
  const std::vector<float> logits(258, 0.5f);
  Emitter emitter(*tokenizer(), prompt, request, sink);
  for (const Token token : tokens) {
    EXPECT_TRUE(emitter.push(token, logits));
    if (emitter.stopped()) break;
  }
  EXPECT_TRUE(emitter.finish());
  got.stopped = emitter.stopped();
  got.reasoning_tokens = emitter.reasoning_tokens();
  return got;
}

GenerationRequest scored(std::variant<std::string, std::vector<text::Message>> prompt) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.logprobs = true;
  request.top_logprobs = 2;
  return request;
}

const std::vector<text::Message> kChat = {{"user", "Hi"}};

TEST(Emitter, ATokensScoreComesWithItsText) {
  const Got got = emit(scored("raw"), {'x'}, {'a', 'b', 0xC3, 0xA9, 'c'});
  EXPECT_EQ(got.text, "ab\u00e9c");
  EXPECT_EQ(got.tokens, (std::vector<std::string>{"a", "b", "\xC3", "\xA9", "c"}));
  EXPECT_EQ(got.counts, (std::vector<std::size_t>{1, 1, 2, 1}))
      << "both halves of a character come with it";
}

TEST(Emitter, ScoresOfACutCharacterComeAtTheEnd) {
  const Got got = emit(scored("raw"), {'x'}, {'a', 0xC3});
  EXPECT_EQ(got.text, "a\uFFFD");
  EXPECT_EQ(got.tokens, (std::vector<std::string>{"a", "\xC3"}));
}

TEST(Emitter, TokensOfAStopStringGiveNeitherTextNorScores) {
  GenerationRequest request = scored("raw");
  request.stop = {"bcd"};
  Got got = emit(request, {'x'}, {'a', 'b', 'c', 'd', 'e'});
  EXPECT_TRUE(got.stopped);
  EXPECT_EQ(got.text, "a");
  EXPECT_EQ(got.tokens, (std::vector<std::string>{"a"}));
  got = emit(request, {'x'}, {'a', 'b', 'c'});
  EXPECT_EQ(got.text, "abc") << "what might have become one and did not";
  EXPECT_EQ(got.tokens.size(), 3u);
}

TEST(Emitter, ThoughtIsApartInConversationsOnly) {
  const std::vector<Token> tokens = {kThink, '\n', 'h', 'm', '\n', kUnthink, '\n', '\n', 'o', 'k'};
  const Got chat = emit(scored(kChat), {'x'}, tokens);
  EXPECT_EQ(chat.reasoning, "hm");
  EXPECT_EQ(chat.text, "ok");
  EXPECT_EQ(chat.reasoning_tokens, 6u);
  EXPECT_EQ(chat.tokens.size(), tokens.size()) << "no token goes without its score";
  const Got raw = emit(scored("raw"), {'x'}, tokens);
  EXPECT_EQ(raw.text, "<think>\nhm\n</think>\n\nok");
  EXPECT_EQ(raw.reasoning_tokens, 0u);
}

TEST(Emitter, ThePromptMayHaveBegunTheThought) {
  const Got got = emit(scored(kChat), {'A', ':', kThink, '\n'}, {'h', 'm', kUnthink, 'o', 'k'});
  EXPECT_EQ(got.reasoning, "hm");
  EXPECT_EQ(got.text, "ok");
  EXPECT_EQ(got.reasoning_tokens, 3u);
  EXPECT_TRUE(ends_in_thinking(*tokenizer(), std::vector<Token>{kThink, '\n', ' '}));
  EXPECT_FALSE(ends_in_thinking(*tokenizer(), std::vector<Token>{kThink, kUnthink, '\n'}));
  EXPECT_FALSE(ends_in_thinking(*tokenizer(), std::vector<Token>{kThink, 'a'}));
  EXPECT_FALSE(ends_in_thinking(*tokenizer(), std::vector<Token>{}));
}

TEST(Emitter, ThoughtThatNeverEndsIsAllThought) {
  const Got got = emit(scored(kChat), {'x'}, {kThink, 'h', 'm', ' '});
  EXPECT_EQ(got.reasoning, "hm");
  EXPECT_EQ(got.text, "");
  EXPECT_EQ(got.tokens.size(), 4u);
}

TEST(Emitter, ASinkThatWantsNoMoreEndsIt) {
  GenerationRequest request;
  request.prompt = "raw";
  int calls = 0;
  const TextSink sink = [&](const TextPiece&) { return ++calls < 2; };
  Emitter emitter(*tokenizer(), {}, request, sink);
  EXPECT_TRUE(emitter.push('a', {}));
  EXPECT_FALSE(emitter.push('b', {}));
}

}  // namespace
}  // namespace thaw::handler
