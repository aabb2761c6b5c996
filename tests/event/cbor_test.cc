// CBOR to JSON, by the examples of RFC 8949's appendix A and against another reader.
#include "handler/event/cbor.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "handler/event/json.h"

namespace thaw::event {
namespace {

std::string bytes(std::string_view hex) {
  std::string out;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
  }
  return out;
}

TEST(Cbor, TheStandardsExamples) {
  const std::pair<std::string_view, std::string_view> examples[] = {
      {"00", "0"},
      {"17", "23"},
      {"1818", "24"},
      {"1903e8", "1000"},
      {"1b000000e8d4a51000", "1000000000000"},
      {"1bffffffffffffffff", "18446744073709551615"},
      {"3bffffffffffffffff", "-18446744073709551616"},
      {"20", "-1"},
      {"3903e7", "-1000"},
      {"f90000", "0"},
      {"f93c00", "1"},
      {"fb3ff199999999999a", "1.1"},
      {"f97bff", "65504"},
      {"fa47c35000", "1e+05"},
      {"fb7e37e43c8800759c", "1e+300"},
      {"f90001", "5.960464477539063e-08"},
      {"f9c400", "-4"},
      {"f97c00", "null"},
      {"fa7f800000", "null"},
      {"f4", "false"},
      {"f5", "true"},
      {"f6", "null"},
      {"f7", "null"},
      {"f0", "null"},
      {"c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""},
      {"c11a514b67b0", "1363896240"},
      {"40", "\"\""},
      {"4401020304", "\"AQIDBA==\""},
      {"62225c", R"("\"\\")"},
      {"62c3bc", "\"\u00fc\""},
      {"80", "[]"},
      {"8301820203820405", "[1,[2,3],[4,5]]"},
      {"a0", "{}"},
      {"a201020304", R"({"1":2,"3":4})"},
      {"a26161016162820203", R"({"a":1,"b":[2,3]})"},
      {"826161a161626163", R"(["a",{"b":"c"}])"},
      {"5f42010243030405ff", "\"AQIDBAU=\""},
      {"7f657374726561646d696e67ff", "\"streaming\""},
      {"9fff", "[]"},
      {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
      {"83018202039f0405ff", "[1,[2,3],[4,5]]"},
      {"bf61610161629f0203ffff", R"({"a":1,"b":[2,3]})"},
      {"bf6346756ef563416d7421ff", R"({"Fun":true,"Amt":-2})"},
      {"a120f5", R"({"-1":true})"},
  };
  for (const auto& [hex, json] : examples) {
    const Result<std::string> text = cbor_to_json(bytes(hex));
    ASSERT_TRUE(text.has_value()) << hex << ": " << text.error().message;
    EXPECT_EQ(*text, json) << hex;
  }
}

TEST(Cbor, WhatIsNoneIsRefused) {
  for (const std::string_view hex : {"",
                                     "18",
                                     "1903",
                                     "1c",
                                     "5803",
                                     "44010203",
                                     "61",
                                     "62c328",
                                     "81",
                                     "8201",
                                     "a1",
                                     "a161",
                                     "a16161",
                                     "9f",
                                     "9f01",
                                     "bf",
                                     "bf6161",
                                     "bf6161ff",
                                     "ff",
                                     "81ff",
                                     "0000",
                                     "7f01ff",
                                     "7f7f6161ffff",
                                     "7f",
                                     "1f",
                                     "df00",
                                     "a1f501",
                                     "a18001",
                                     "9bffffffffffffffff",
                                     "bbffffffffffffffff"}) {
    const Result<std::string> text = cbor_to_json(bytes(hex));
    ASSERT_FALSE(text.has_value()) << hex << ": " << *text;
    EXPECT_EQ(text.error().code, Code::kCorrupt) << hex;
  }
  EXPECT_EQ(cbor_to_json(std::string(json::kDepthMax + 1, '\x81')).error().code, Code::kLimit);
  std::string many = "\x9f" + std::string(json::kValuesMax + 1, '\0') + "\xff";
  EXPECT_EQ(cbor_to_json(many).error().code, Code::kLimit);
}

nlohmann::json random_value(Random& random, int depth) {
  switch (random.below(depth > 0 ? 7 : 5)) {
    case 0: return static_cast<std::int64_t>(random.next()) >> random.below(64);
    case 1: return random.unit() * 1e6;
    case 2: return random.below(2) == 0;
    case 3: return nullptr;
    case 4: return std::string(random.below(40), static_cast<char>('a' + random.below(26)));
    case 5: {
      nlohmann::json array = nlohmann::json::array();
      for (std::uint64_t n = random.below(30); n > 0; --n)
        array.push_back(random_value(random, depth - 1));
      return array;
    }
    default: {
      nlohmann::json object = nlohmann::json::object();
      for (std::uint64_t n = random.below(6); n > 0; --n) {
        object["k" + std::to_string(random.below(1000))] = random_value(random, depth - 1);
      }
      return object;
    }
  }
}

TEST(Cbor, ReadsWhatAnotherWriterWroteAndNoMutationBreaksIt) {
  constexpr std::uint64_t kSeed = 33;
  Random random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    const nlohmann::json value = random_value(random, 4);
    const std::vector<std::uint8_t> packed = nlohmann::json::to_cbor(value);
    std::string text(packed.begin(), packed.end());
    const Result<std::string> json = cbor_to_json(text);
    ASSERT_TRUE(json.has_value()) << "seed " << kSeed << ": " << json.error().message;
    ASSERT_EQ(nlohmann::json::parse(*json), value) << "seed " << kSeed;
    for (int n = 0; n < 5; ++n) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
      const Result<std::string> mutated = cbor_to_json(text);
      EXPECT_TRUE(!mutated || json::Document::parse(*mutated).has_value()) << *mutated;
    }
  }
}

TEST(Cbor, IsToldFromJsonByItsFirstByte) {
  EXPECT_TRUE(looks_like_cbor("\xA2"));
  EXPECT_TRUE(looks_like_cbor("\xBF"));
  EXPECT_FALSE(looks_like_cbor(""));
  EXPECT_FALSE(looks_like_cbor("{"));
  EXPECT_FALSE(looks_like_cbor("\xEF\xBB\xBF{"));
}

}  // namespace
}  // namespace thaw::event
