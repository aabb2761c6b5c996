// The reader against nlohmann-json: the same texts accepted, the same values read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/random.h"
#include "handler/event/json.h"

namespace thaw::json {
namespace {

using Oracle = nlohmann::json;

bool same_value(const Value& value, const Oracle& oracle);

bool same_members(const Value& value, const Oracle& oracle) {
  std::set<std::string, std::less<>> keys;
  for (const Value& member : value) keys.emplace(member.key());
  if (keys.size() != oracle.size()) return false;
  for (const auto& [key, expected] : oracle.items()) {
    if (!same_value(value[key], expected)) return false;
  }
  return true;
}

bool same_value(const Value& value, const Oracle& oracle) {
  switch (value.type()) {
    case Type::kAbsent: return false;
    case Type::kNull: return oracle.is_null();
    case Type::kBool: return oracle.is_boolean() && oracle.get<bool>() == value.is_true();
    case Type::kNumber:
      if (oracle.is_number_unsigned()) return value.as_uint64() == oracle.get<std::uint64_t>();
      if (oracle.is_number_integer()) return value.as_int64() == oracle.get<std::int64_t>();
      // Underflow is no number here, and a zero or a denormal there.
      return !value.as_double() ? std::abs(oracle.get<double>()) < 1e-300
                                : value.as_double() == oracle.get<double>();
    case Type::kString: return oracle.is_string() && oracle.get<std::string>() == value.text();
    case Type::kArray: {
      if (!oracle.is_array() || oracle.size() != value.size()) return false;
      std::size_t index = 0;
      for (const Value& element : value) {
        if (!same_value(element, oracle[index++])) return false;
      }
      return true;
    }
    case Type::kObject: return oracle.is_object() && same_members(value, oracle);
  }
  return false;
}

void compare(const std::string& text) {
  const Result<Document> ours = Document::parse(text);
  Oracle theirs;
  bool accepted = true;
  try {
    theirs = Oracle::parse(text);
  } catch (const Oracle::out_of_range&) {
    return;  // a number beyond double: here it is read when it is asked for
  } catch (const Oracle::parse_error&) {
    accepted = false;
  }
  if (!ours && ours.error().code == Code::kLimit) return;
  ASSERT_EQ(ours.has_value(), accepted) << text << "\n" << (ours ? "" : ours.error().message);
  if (accepted) {
    EXPECT_TRUE(same_value(ours->root(), theirs)) << text;
  }
}

std::vector<std::string> samples() {
  std::vector<std::string> texts;
  const std::string root = std::string(THAW_SOURCE_DIR) + "/tests/data/events";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".json") continue;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    texts.push_back(text.str());
  }
  std::sort(texts.begin(), texts.end());
  EXPECT_GT(texts.size(), 100u);
  return texts;
}

TEST(JsonOracle, AgreesOnEverySample) {
  for (const std::string& text : samples()) compare(text);
}

TEST(JsonOracle, AgreesOnMutatedSamples) {
  constexpr std::uint64_t kSeed = 20240611;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  const std::vector<std::string> texts = samples();
  constexpr std::string_view kPieces[] = {
      "{",    "}",      "[",    "]",    "\"", ",",       ":",  "\\",   "e",    "-",
      ".",    "0",      "1e5",  "null", " ",  "\\u00e9", "\n", "\xC3", "\x80", "\\ud83d\\ude00",
      "true", "\"a\":", "\x7F", "/"};
  for (int round = 0; round < 1200 && !testing::Test::HasFailure(); ++round) {
    std::string text = texts[random.below(texts.size())];
    const std::size_t from = random.below(text.size());
    text = text.substr(from, 1 + random.below(400));  // fragments first, whole texts below
    if (round % 4 != 0) text = texts[random.below(texts.size())].substr(0, 6000);
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const std::size_t at = random.below(text.size() + 1);
      const std::string_view piece = kPieces[random.below(std::size(kPieces))];
      text.replace(at, random.below(3), piece);
    }
    compare(text);
  }
}

TEST(JsonOracle, AgreesOnRandomTexts) {
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Random random(kSeed);
  constexpr std::string_view kAlphabet = "{}[]\",:\\01-.eEtrufalsn \n\xC3\xA9";
  for (int round = 0; round < 50000 && !testing::Test::HasFailure(); ++round) {
    std::string text;
    for (std::uint64_t left = random.below(12); left > 0; --left) {
      text += kAlphabet[random.below(kAlphabet.size())];
    }
    compare(text);
  }
}

}  // namespace
}  // namespace thaw::json
