#include <gtest/gtest.h>

#include "base/random.h"
#include "runtime/deployment/template.h"
#include "runtime/deployment/yaml_tree.h"

namespace thaw::deployment {
namespace {

TEST(Yaml, KeepsTextsTagsOrderAndPlaces) {
  const auto root = read_yaml("t", "b: 1\na:\n  - !Ref X\n  - ~\n  - {c: 'x y'}\n");
  ASSERT_TRUE(root) << root.error().message;
  EXPECT_EQ(root->members[0].name, "b");
  EXPECT_EQ(root->find("b")->text, "1");
  const Node& list = *root->find("a");
  EXPECT_EQ(list.items[0].tag, "!Ref");
  EXPECT_EQ(list.items[0].text, "X");
  EXPECT_EQ(list.items[0].place.line, 3u);
  EXPECT_EQ(list.items[0].place.column, 5u);
  EXPECT_EQ(list.items[1].kind, Node::Kind::kNull);
  EXPECT_EQ(list.items[2].find("c")->text, "x y");
  EXPECT_EQ(root->find("none"), nullptr);
}

// One line, whatever is wrong.
void expect_refused(const std::string& text, Code code, std::string_view says) {
  const auto root = read_yaml("t.yaml", text);
  ASSERT_FALSE(root) << text.substr(0, 100);
  EXPECT_EQ(root.error().code, code) << root.error().message;
  EXPECT_NE(root.error().message.find(says), std::string::npos) << root.error().message;
  EXPECT_EQ(root.error().message.find('\n'), std::string::npos);
  EXPECT_LT(root.error().message.size(), 400u);
}

TEST(Yaml, RefusesABombOfAliases) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) text += ", " + before;
    text += "]\n";
  }
  expect_refused(text, Code::kLimit, "aliases counted");
}

TEST(Yaml, RefusesWhatIsTooDeepOrTooLarge) {
  expect_refused(std::string(42, '[') + std::string(42, ']'), Code::kInvalid, "deeper than 40");
  expect_refused(std::string(100'000, '['), Code::kInvalid, "template 't.yaml'");
  expect_refused(std::string(100'000, '{'), Code::kInvalid, "template 't.yaml'");
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  expect_refused(nested, Code::kInvalid, "template 't.yaml'");
  expect_refused(std::string(kYamlBytesMax + 1, ' '), Code::kLimit, "the limit");
  std::string many;
  for (std::size_t i = 0; i < kYamlNodesMax; ++i) many += "- x\n";
  expect_refused(many, Code::kLimit, "nodes");
}

TEST(Yaml, NamesThePlaceOfWhatIsNoYaml) {
  expect_refused("a: [1, 2\nb: 3", Code::kInvalid, "line 2");
  expect_refused("a: *nobody", Code::kInvalid, "line 1, column");
  expect_refused("a: 1\na: 2\n", Code::kInvalid, "the key 'a' comes twice");
  expect_refused("[a]: 1\n", Code::kInvalid, "a key that is no text");
  expect_refused("\"\\q\"", Code::kInvalid, "line 1");
  expect_refused("a:\n\t- tab", Code::kInvalid, "line");
}

TEST(Yaml, AnyBytesAreATemplateOrAnError) {
  const std::string text =
      "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: !Sub "
      "'${AWS::Region}', Timeout: 3, Environment: {Variables: {X: !Ref A}}}\n";
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Random random(seed);
  constexpr std::string_view kBytes = "&*[]{}:-!|>'\"\\ \n\tab0$\xff#?,%@`";
  for (int round = 0; round < 4000; ++round) {
    std::string changed = text;
    for (std::uint64_t i = 1 + random.below(6); i != 0; --i) {
      const auto at = static_cast<std::size_t>(random.below(changed.size()));
      switch (random.below(3)) {
        case 0: changed[at] = kBytes[static_cast<std::size_t>(random.below(kBytes.size()))]; break;
        case 1: changed.erase(at, 1 + static_cast<std::size_t>(random.below(9))); break;
        default: changed.insert(at, changed.substr(changed.size() / 2, 20)); break;
      }
      if (changed.empty()) changed = "x";
    }
    const auto read = read_template("t", changed, {});
    if (!read) {
      EXPECT_EQ(read.error().message.find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace thaw::deployment
