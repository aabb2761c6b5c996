// Answers of models that think: what they thought comes apart, in every shape.
#include <gtest/gtest.h>

#include "fakes.h"

namespace thaw::handler {
namespace {

constexpr std::string_view kHi = R"("messages":[{"role":"user","content":"Hi"}])";

void think(House& house) {
  house.generator.pieces = {"step one,", " step two", "Yes", "."};
  house.generator.reasoning_pieces = 2;
  house.generator.usage.reasoning_tokens = 2;
}

std::string ask(House& house, std::string_view path, std::string_view rest = "") {
  const std::string body = "{" + std::string(kHi) + std::string(rest) + "}";
  return answer_of(house.handle(url_event("POST", path, body))).body;
}

TEST(Thought, IsBesideTheContentOfAMessage) {
  House house;
  think(house);
  const std::string body = ask(house, "/v1/chat/completions");
  EXPECT_EQ(at(body, "/choices/0/message"),
            R"({"content":"Yes.","reasoning_content":"step one, step two","refusal":null,)"
            R"("role":"assistant"})");
  EXPECT_EQ(at(body, "/usage/completion_tokens_details/reasoning_tokens"), "2");
}

TEST(Thought, IsBesideTheTextOfADirectAnswer) {
  House house;
  think(house);
  const std::string body = ask(house, "/predict");
  EXPECT_EQ(at(body, "/text"), "\"Yes.\"");
  EXPECT_EQ(at(body, "/reasoning_content"), "\"step one, step two\"");
  EXPECT_EQ(at(body, "/usage/reasoning_tokens"), "2");
}

TEST(Thought, IsInNoAnswerOfAModelThatDoesNotThink) {
  House house;
  for (const std::string_view path : {"/v1/chat/completions", "/predict"}) {
    EXPECT_EQ(ask(house, path).find("reasoning"), std::string::npos);
  }
}

TEST(Thought, StreamsInDeltasOfItsOwn) {
  House house;
  think(house);
  house.handle(
      url_event("POST", "/v1/chat/completions", "{" + std::string(kHi) + R"(,"stream":true})"));
  std::string reasoning, content;
  const std::string text = house.responder.text();
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find("\n\n", from);
    ASSERT_NE(end, std::string::npos);
    const std::string event = text.substr(from + 6, end - from - 6);
    from = end + 2;
    const std::string thought = at(event, "/choices/0/delta/reasoning_content");
    const std::string said = at(event, "/choices/0/delta/content");
    EXPECT_TRUE(thought.empty() || said.empty()) << "one of both: " << event;
    reasoning += thought;
    content += said;
  }
  EXPECT_EQ(reasoning, R"("step one,"" step two")");
  EXPECT_EQ(content, R"("""Yes"".")");
}

TEST(Thought, StreamsInLinesOfItsOwn) {
  House house;
  think(house);
  house.handle(R"({"prompt":"Hi","stream":true})");
  EXPECT_TRUE(house.responder.text().starts_with(
      "{\"reasoning_content\":\"step one,\"}\n{\"reasoning_content\":\" step two\"}\n"
      "{\"text\":\"Yes\"}\n{\"text\":\".\"}\n{\"finish_reason\":\"stop\""));
}

}  // namespace
}  // namespace thaw::handler
