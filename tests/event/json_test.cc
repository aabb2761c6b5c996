#include "handler/event/json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace thaw::json {
namespace {

Code code_of(std::string_view text) {
  const Result<Document> parsed = Document::parse(text);
  EXPECT_FALSE(parsed.has_value()) << text.substr(0, 80);
  return parsed ? Code::kIo : parsed.error().code;
}

std::string repeated(std::string_view piece, std::size_t times) {
  std::string all;
  all.reserve(piece.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += piece;
  return all;
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto document = Document::parse(R"( {"null":null,"yes":true,"no":false,"n":-12.5e1,)"
                                        R"("s":"text","a":[1,[],{}],"o":{"k":"v"}} )");
  ASSERT_TRUE(document.has_value()) << document.error().message;
  const Value root = document->root();
  EXPECT_EQ(root.type(), Type::kObject);
  EXPECT_EQ(root.size(), 7u);
  EXPECT_EQ(root["null"].type(), Type::kNull);
  EXPECT_TRUE(root["null"].is_nothing());
  EXPECT_TRUE(root["yes"].is_true());
  EXPECT_EQ(root["no"].type(), Type::kBool);
  EXPECT_FALSE(root["no"].is_true());
  EXPECT_EQ(root["n"].as_double(), -125.0);
  EXPECT_EQ(root["s"].text(), "text");
  EXPECT_EQ(root["a"].size(), 3u);
  EXPECT_EQ(root["a"].at(0).as_int64(), 1);
  EXPECT_TRUE(root["a"].at(1).is_array());
  EXPECT_EQ(root["a"].at(1).size(), 0u);
  EXPECT_TRUE(root["a"].at(2).is_object());
  EXPECT_EQ(root["o"]["k"].text(), "v");
  EXPECT_EQ(root["o"].key(), "o");
}

TEST(Json, LookupsOfWhatIsNotThereChain) {
  const auto document = Document::parse(R"({"a":[1],"s":"x"})");
  ASSERT_TRUE(document.has_value());
  const Value root = document->root();
  EXPECT_EQ(root["b"]["c"].at(3)["d"].type(), Type::kAbsent);
  EXPECT_FALSE(root["a"].at(1));
  EXPECT_FALSE(root["s"]["x"]);
  EXPECT_EQ(root["a"].text(), "");
  EXPECT_EQ(root["b"].size(), 0u);
  for (const Value& element : root["b"]) FAIL() << element.text();
  for (const Value& element : root["s"]) FAIL() << element.text();
  EXPECT_FALSE(Value().as_double().has_value());
}

TEST(Json, IteratesInTheOrderOfTheText) {
  const auto document = Document::parse(R"({"z":1,"a":[10,20,30],"m":2})");
  ASSERT_TRUE(document.has_value());
  std::string keys;
  for (const Value& member : document->root()) keys += member.key();
  EXPECT_EQ(keys, "zam");
  std::int64_t sum = 0;
  for (const Value& element : document->root()["a"]) sum = sum * 2 + *element.as_int64();
  EXPECT_EQ(sum, (10 * 2 + 20) * 2 + 30);
}

TEST(Json, TheLastOfEqualKeysWins) {
  const auto document = Document::parse(R"({"a":1,"b":2,"a":{"c":3},"\u0061":"last"})");
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ(document->root()["a"].text(), "last");
}

TEST(Json, DecodesEscapes) {
  const auto document = Document::parse(
      R"(["\"\\\/\b\f\n\r\t","\u0000x","\u00e9\u20AC","\uD83D\uDE00","pre\u0041post","\\u0041"])");
  ASSERT_TRUE(document.has_value()) << document.error().message;
  const Value root = document->root();
  EXPECT_EQ(root.at(0).text(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(root.at(1).text(), std::string_view("\0x", 2));
  EXPECT_EQ(root.at(2).text(), "é€");
  EXPECT_EQ(root.at(3).text(), "😀");
  EXPECT_EQ(root.at(4).text(), "preApost");
  EXPECT_EQ(root.at(5).text(), "\\u0041");
}

TEST(Json, ValuesOutliveAMovedDocument) {
  auto parsed = Document::parse(R"({"k\n":"v\t"})");
  ASSERT_TRUE(parsed.has_value());
  const Value value = parsed->root()["k\n"];
  const Document moved = std::move(*parsed);
  EXPECT_EQ(value.text(), "v\t");
  EXPECT_EQ(moved.root()["k\n"].text(), "v\t");
}

TEST(Json, SkipsAByteOrderMark) {
  EXPECT_TRUE(Document::parse("\xEF\xBB\xBF{}").has_value());
  EXPECT_EQ(code_of("{\xEF\xBB\xBF}"), Code::kInvalid);
}

TEST(Json, ReadsIntegersHoweverTheyAreSpelt) {
  const auto document = Document::parse(
      "[0,-0,256.0,1e2,2.5,9223372036854775807,9223372036854775808,18446744073709551615,"
      "18446744073709551616,-9223372036854775808,-9223372036854775809,1e400,-1.0,9007199254740993."
      "0,"
      "\"1\"]");
  ASSERT_TRUE(document.has_value()) << document.error().message;
  const auto signed_at = [&](std::size_t i) { return document->root().at(i).as_int64(); };
  const auto unsigned_at = [&](std::size_t i) { return document->root().at(i).as_uint64(); };
  EXPECT_EQ(signed_at(0), 0);
  EXPECT_EQ(signed_at(1), 0);
  EXPECT_EQ(unsigned_at(2), 256u);
  EXPECT_EQ(unsigned_at(3), 100u);
  EXPECT_FALSE(signed_at(4).has_value());
  EXPECT_EQ(signed_at(5), INT64_MAX);
  EXPECT_FALSE(signed_at(6).has_value());
  EXPECT_EQ(unsigned_at(6), 1ull << 63);
  EXPECT_EQ(unsigned_at(7), UINT64_MAX);
  EXPECT_FALSE(unsigned_at(8).has_value());
  EXPECT_EQ(signed_at(9), INT64_MIN);
  EXPECT_FALSE(signed_at(10).has_value());
  EXPECT_FALSE(document->root().at(11).as_double().has_value()) << "1e400 is no double";
  EXPECT_EQ(signed_at(12), -1);
  EXPECT_FALSE(unsigned_at(12).has_value());
  EXPECT_FALSE(signed_at(13).has_value()) << "beyond 2^53 a double is no exact integer";
  EXPECT_FALSE(signed_at(14).has_value()) << "a string is no number";
}

constexpr std::string_view kNotJson[] = {
    "",
    " ",
    "{",
    "}",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "[1}",
    "{\"a\":1]",
    "nul",
    "nulll",
    "True",
    "tru",
    "+1",
    "01",
    "-",
    "-a",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "1 2",
    "{} {}",
    "[]]",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12G4\"",
    "\"\\u-123\"",
    "\"\\u+123\"",
    "\"\\",
    "\"\\u",
    "\"\\uD800\"",
    "\"\\uD800x\"",
    "\"\\uD800\\n\"",
    "\"\\uD800\\uD800\"",
    "\"\\uDC00\"",
    "\"a\nb\"",
    "\"a\tb\"",
    "// comment\n1",
    "[1]/**/",
    "\"\x01\"",
    "\v1",
    "\xC2\xA0{}",
    "\"\x80\"",
    "\"\xC0\x80\"",
    "\"\xE0\x80\x80\"",
    "\"\xED\xA0\x80\"",
    "\"\xF4\x90\x80\x80\"",
    "\"\xF5\x80\x80\x80\"",
    "\"\xC3\"",
    "\"\xE2\x82\"",
    "\"\xF0\x9F\x98\"",
    "\xFF",
    "\"\xFF\"",
};

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string_view text : kNotJson) EXPECT_EQ(code_of(text), Code::kInvalid) << text;
  EXPECT_EQ(code_of(std::string_view("\0", 1)), Code::kInvalid);
  EXPECT_EQ(code_of(std::string_view("1\0", 2)), Code::kInvalid);
  EXPECT_EQ(code_of(std::string_view("\"\0\"", 3)), Code::kInvalid);
}

TEST(Json, MessagesSayWhereAndNothingThatWasSaid) {
  const auto parsed = Document::parse("{\"prompt\": secret}");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().message, "JSON: byte 11: found another character, wanted a value");
  const auto structure = Document::parse("{\"a\":1,}");
  ASSERT_FALSE(structure.has_value());
  EXPECT_EQ(structure.error().message, "JSON: byte 7: found \"}\", wanted a key in quotes");
}

TEST(Json, EveryPrefixOfADocumentIsRefused) {
  const std::string text = R"({"a":[1,2.5e3,"x\u00e9\n",{"b":null}],"c":true})";
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(code_of(text.substr(0, length)), Code::kInvalid) << length;
  }
  EXPECT_TRUE(Document::parse(text).has_value());
}

TEST(Json, DepthIsLimitedAndCostsNoStack) {
  const auto nested = [](std::size_t depth) { return repeated("[", depth) + repeated("]", depth); };
  EXPECT_TRUE(Document::parse(nested(kDepthMax)).has_value());
  // The innermost pair is empty and opens no level of its own.
  EXPECT_TRUE(Document::parse(nested(kDepthMax + 1)).has_value());
  EXPECT_EQ(code_of(nested(kDepthMax + 2)), Code::kLimit);
  EXPECT_EQ(code_of(nested(1000000)), Code::kLimit);
  EXPECT_EQ(code_of(repeated("[", 1000000)), Code::kLimit);
  EXPECT_EQ(code_of(repeated("{\"a\":", 1000000)), Code::kLimit);
  EXPECT_EQ(code_of(repeated("[{\"a\":", 1000000)), Code::kLimit);
}

TEST(Json, ValuesAreLimited) {
  const std::string fits = "[" + repeated("0,", kValuesMax - 2) + "0]";
  EXPECT_TRUE(Document::parse(fits).has_value());
  EXPECT_EQ(code_of("[" + repeated("0,", kValuesMax - 1) + "0]"), Code::kLimit);
}

TEST(Json, BytesAreLimited) {
  std::string text(kBytesMax + 1, ' ');
  text.front() = '1';
  EXPECT_EQ(code_of(text), Code::kLimit);
}

}  // namespace
}  // namespace thaw::json
