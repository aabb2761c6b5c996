#include "handler/text/thinking.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace thaw::text {
namespace {

struct Split {
  std::string reasoning;
  std::string answer;
  bool operator==(const Split&) const = default;
};

void add(Split& split, const std::vector<ThinkingSplitter::Part>& parts) {
  for (const auto& part : parts) {
    EXPECT_FALSE(part.text.empty());
    // Thought never comes behind an answer.
    EXPECT_TRUE(!part.reasoning || split.answer.empty());
    (part.reasoning ? split.reasoning : split.answer) += part.text;
  }
}

Split split(bool open, const std::vector<std::string>& pieces) {
  ThinkingSplitter splitter(open);
  Split result;
  for (const std::string& piece : pieces) add(result, splitter.push(piece));
  add(result, splitter.finish());
  return result;
}

struct Case {
  bool open;
  std::string_view text;
  std::string_view reasoning;
  std::string_view answer;
};

constexpr Case kCases[] = {
    {false, "", "", ""},
    {false, "Hello", "", "Hello"},
    {false, " Hello ", "", " Hello "},
    {false, "<think>a b</think>c", "a b", "c"},
    {false, "\n<think>\n a \n\n</think>\n\n c \n", "a", "c \n"},
    {false, "<think></think>c", "", "c"},
    {false, "<think>\n\n</think>\n\nc", "", "c"},
    {false, "<think>a", "a", ""},
    {false, "<think>a  \n", "a", ""},
    {false, "<think>a </thin", "a </thin", ""},
    {false, "<think>a</think>", "a", ""},
    {false, "<think>a</think>\n ", "a", ""},
    {false, "<think", "", "<think"},
    {false, "  ", "", "  "},
    {false, "<thinking>a</thinking>", "", "<thinking>a</thinking>"},
    {false, "x<think>a</think>c", "", "x<think>a</think>c"},
    {false, "<think>a<b</thi</think>c</think>d<think>e", "a<b</thi", "c</think>d<think>e"},
    {true, "a</think>c", "a", "c"},
    {true, "\na\n</think>\n\nc", "a", "c"},
    {true, "<think>a</think>c", "a", "c"},  // some models open it once more
    {true, "</think>c", "", "c"},
    {true, "a", "a", ""},
    {true, "", "", ""},
    {true, "<thi", "<thi", ""},
    {true, "<thing>a</think>c", "<thing>a", "c"},
};

TEST(Thinking, IsPartedFromTheAnswerWithoutTheSpaceAroundIt) {
  for (const Case& each : kCases) {
    const Split whole = split(each.open, {std::string(each.text)});
    EXPECT_EQ(whole.reasoning, each.reasoning) << each.text;
    EXPECT_EQ(whole.answer, each.answer) << each.text;
  }
}

TEST(Thinking, HowTheTextIsCutChangesNothing) {
  constexpr std::uint64_t kSeed = 20;
  Random random(kSeed);
  for (const Case& each : kCases) {
    const Split whole = split(each.open, {std::string(each.text)});
    for (int round = 0; round < 50; ++round) {
      std::vector<std::string> pieces;
      for (std::size_t at = 0; at < each.text.size();) {
        const std::size_t count = 1 + random.below(round == 0 ? 1 : 5);
        pieces.emplace_back(each.text.substr(at, count));
        at += count;
      }
      EXPECT_EQ(split(each.open, pieces), whole) << each.text << " seed " << kSeed;
    }
  }
}

TEST(Thinking, TextIsHeldBackNoLongerThanItMustBe) {
  ThinkingSplitter splitter(false);
  EXPECT_TRUE(splitter.push("<think>").empty());
  EXPECT_TRUE(splitter.is_thinking());
  auto parts = splitter.push("step one ");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].text, "step one");
  parts = splitter.push("and");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].text, " and");
  parts = splitter.push("</think>\nyes");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_FALSE(splitter.is_thinking());
  EXPECT_EQ(parts[0].text, "yes");
  parts = splitter.push("  ");
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].text, "  ");
}

}  // namespace
}  // namespace thaw::text
