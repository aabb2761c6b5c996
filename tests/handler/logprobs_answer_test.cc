// Log-probabilities in both of OpenAI's shapes, whole and streamed.
#include <gtest/gtest.h>

#include "fakes.h"

namespace thaw::handler {
namespace {

void score(House& house) {
  house.generator.pieces = {"a\u00e9", "b"};
  house.generator.scores = {
      {{{"a", -0.5}, {{"a", -0.5}, {"z", -1}}}, {{"\xC3", -2}, {}}, {{"\xA9", 0}, {}}},
      {{{"b", -0.25}, {{"b", -0.25}}}}};
}

std::string body_of(House& house, std::string_view path, std::string_view body) {
  return answer_of(house.handle(url_event("POST", path, body))).body;
}

constexpr std::string_view kFirst =
    R"({"bytes":[97],"logprob":-0.5,"token":"a","top_logprobs":[)"
    R"({"bytes":[97],"logprob":-0.5,"token":"a"},{"bytes":[122],"logprob":-1,"token":"z"}]})";
constexpr std::string_view kHalf =
    R"({"bytes":[195],"logprob":-2,"token":"bytes:\\xc3","top_logprobs":[]})";

TEST(LogprobsAnswer, AChatHasAnObjectAToken) {
  House house;
  score(house);
  const std::string body =
      body_of(house, "/v1/chat/completions",
              R"({"messages":[{"role":"user","content":"Hi"}],"logprobs":true,"top_logprobs":2})");
  EXPECT_TRUE(house.generator.requests.at(0).logprobs);
  EXPECT_EQ(house.generator.requests.at(0).top_logprobs, 2u);
  EXPECT_EQ(at(body, "/choices/0/logprobs/content/0"), kFirst);
  EXPECT_EQ(at(body, "/choices/0/logprobs/content/1"), kHalf);
  EXPECT_EQ(at(body, "/choices/0/logprobs/content/3/token"), "\"b\"");
  EXPECT_EQ(at(body, "/choices/0/logprobs/content/4"), "");
  EXPECT_EQ(at(body, "/choices/0/logprobs/refusal"), "null");
}

TEST(LogprobsAnswer, ADirectAnswerHasTheSameObjects) {
  House house;
  score(house);
  const Outcome outcome = house.handle(R"({"prompt":"Hi","logprobs":true})");
  EXPECT_EQ(at(outcome.body, "/logprobs/0"), kFirst);
  EXPECT_EQ(house.generator.requests.at(0).top_logprobs, 0u);
}

TEST(LogprobsAnswer, ACompletionHasListsAndOffsetsInCharacters) {
  House house;
  score(house);
  const std::string body = body_of(house, "/v1/completions", R"({"prompt":"Hi","logprobs":2})");
  EXPECT_EQ(house.generator.requests.at(0).top_logprobs, 2u);
  EXPECT_EQ(at(body, "/choices/0/logprobs/tokens"), R"(["a","bytes:\\xc3","bytes:\\xa9","b"])");
  EXPECT_EQ(at(body, "/choices/0/logprobs/token_logprobs"), "[-0.5,-2,0,-0.25]");
  EXPECT_EQ(at(body, "/choices/0/logprobs/top_logprobs"),
            R"([{"a":-0.5,"z":-1},{},{},{"b":-0.25}])");
  EXPECT_EQ(at(body, "/choices/0/logprobs/text_offset"), "[0,1,2,2]");
}

TEST(LogprobsAnswer, ZeroAlternativesAreStillAskedFor) {
  House house;
  score(house);
  const std::string body = body_of(house, "/v1/completions", R"({"prompt":"Hi","logprobs":0})");
  EXPECT_TRUE(house.generator.requests.at(0).logprobs);
  EXPECT_EQ(house.generator.requests.at(0).top_logprobs, 0u);
  EXPECT_NE(at(body, "/choices/0/logprobs/tokens"), "");
}

TEST(LogprobsAnswer, AStreamHasThoseOfEachPiece) {
  House house;
  score(house);
  house.handle(
      url_event("POST", "/v1/chat/completions",
                R"({"messages":[{"role":"user","content":"Hi"}],"logprobs":true,"stream":true})"));
  ASSERT_EQ(house.responder.writes.size(), 3u);
  const std::string second = house.responder.writes[1].substr(6);
  EXPECT_EQ(at(second, "/choices/0/logprobs/content/0/token"), "\"b\"");
  EXPECT_EQ(at(second, "/choices/0/logprobs/content/1"), "");
  House completion;
  score(completion);
  completion.handle(
      url_event("POST", "/v1/completions", R"({"prompt":"Hi","logprobs":1,"stream":true})"));
  const std::string last = completion.responder.writes[1].substr(6);
  EXPECT_EQ(at(last, "/choices/0/logprobs/text_offset"), "[2]") << "it goes on counting";
  EXPECT_EQ(
      at(completion.responder.writes[2].substr(6, completion.responder.writes[2].find("\n") - 6),
         "/choices/0/logprobs"),
      "null");
}

TEST(LogprobsAnswer, NobodyAskedForThem) {
  House house;
  score(house);
  const std::string body =
      body_of(house, "/v1/chat/completions", R"({"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(at(body, "/choices/0/logprobs"), "null");
  EXPECT_FALSE(house.generator.requests.at(0).logprobs);
}

}  // namespace
}  // namespace thaw::handler
