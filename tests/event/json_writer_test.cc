#include "handler/event/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "handler/event/json.h"
#include "handler/event/utf8.h"

namespace thaw::json {
namespace {

std::string in_quotes(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

TEST(JsonWriter, SeparatesValuesAtEveryDepth) {
  std::string out;
  Writer writer(out);
  writer.begin_object().field("a", 1).key("b").begin_array();
  writer.value("x").begin_object().end_object().begin_array().end_array().null().end_array();
  writer.field("c", true).key("d").begin_object().field("e", -2.5).end_object().end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x",{},[],null],"c":true,"d":{"e":-2.5}})");
}

TEST(JsonWriter, WritesNumbersAsJsonHasThem) {
  std::string out;
  Writer writer(out);
  writer.begin_array()
      .value(std::numeric_limits<std::uint64_t>::max())
      .value(std::numeric_limits<std::int64_t>::min())
      .value(0.1)
      .value(1e300)
      .value(std::nan(""))
      .value(std::numeric_limits<double>::infinity())
      .end_array();
  EXPECT_EQ(out, "[18446744073709551615,-9223372036854775808,0.1,1e+300,null,null]");
}

TEST(JsonWriter, EscapesWhatMustBeEscapedAndNothingElse) {
  EXPECT_EQ(in_quotes(""), "\"\"");
  EXPECT_EQ(in_quotes("plain é € 😀 </script>"), "\"plain é € 😀 </script>\"");
  EXPECT_EQ(in_quotes("\"\\\b\f\n\r\t"), R"("\"\\\b\f\n\r\t")");
  EXPECT_EQ(in_quotes(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
}

TEST(JsonWriter, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(in_quotes("a\x80z"), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(in_quotes("\xE2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(in_quotes("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(in_quotes("\xC3(\xC3\xA9"), "\"\xEF\xBF\xBD(é\"");
}

TEST(JsonWriter, AnyBytesGiveWellFormedJson) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::uint64_t left = random.below(24); left > 0; --left) {
      // Half of the bytes from where UTF-8's leads and tails are.
      text +=
          static_cast<char>(random.below(2) == 0 ? random.below(256) : 0x80 + random.below(128));
    }
    const std::string out = in_quotes(text);
    const auto oracle = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(oracle.is_string()) << out;
    const auto ours = Document::parse(out);
    ASSERT_TRUE(ours.has_value());
    EXPECT_EQ(ours->root().text(), oracle.get<std::string>());
    if (event::is_utf8(text)) {
      EXPECT_EQ(ours->root().text(), text);
    }
  }
}

TEST(JsonWriter, WritesWhatWasReadAsItWas) {
  for (const std::string_view text :
       {"null", "true", "-0.0e+10", "123456789012345678901234567890", R"("a\"b\\")", "[]", "{}",
        R"({"a":[1,{"b":null},"c"],"a":false,"":{}})"}) {
    const auto document = Document::parse(text);
    ASSERT_TRUE(document.has_value());
    EXPECT_EQ(to_text(document->root()), text);
  }
  EXPECT_EQ(to_text(Value()), "null");
  const std::string deep = std::string(kDepthMax, '[') + std::string(kDepthMax, ']');
  const auto document = Document::parse(deep);
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ(to_text(document->root()), deep);
}

TEST(JsonWriter, TakesJsonAsItIs) {
  std::string out;
  Writer writer(out);
  writer.begin_array().raw("{\"a\":1}").value(2).raw("3").end_array();
  EXPECT_EQ(out, R"([{"a":1},2,3])");
}

}  // namespace
}  // namespace thaw::json
