#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "base/check.h"
#include "base/str.h"

namespace thaw {
namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return fail(Code::kInvalid, cat("halve: ", number, ", an even one wanted"));
  return number / 2;
}

Result<int> quarter_of(int number) {
  THAW_TRY(half, half_of(number));
  THAW_TRY(quarter, half_of(half));
  return quarter;
}

Result<Done> check_twice(int number, int& checked) {
  THAW_TRY_DO(half_of(number));
  ++checked;
  THAW_TRY_DO(half_of(number / 2));
  ++checked;
  return Done{};
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = half_of(8);
  ASSERT_TRUE(good.has_value());
  EXPECT_TRUE(static_cast<bool>(good));
  EXPECT_EQ(*good, 4);
  EXPECT_EQ(good.value(), 4);

  const Result<int> bad = half_of(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalid);
  EXPECT_EQ(bad.error().message, "halve: 7, an even one wanted");
}

TEST(Result, TryBindsTheValueOrReturnsTheFirstError) {
  EXPECT_EQ(*quarter_of(12), 3);
  EXPECT_EQ(quarter_of(5).error().message, "halve: 5, an even one wanted");
  EXPECT_EQ(quarter_of(6).error().message, "halve: 3, an even one wanted");
}

TEST(Result, TryDoStopsAtTheFirstError) {
  int checked = 0;
  EXPECT_TRUE(check_twice(4, checked));
  EXPECT_EQ(checked, 2);
  checked = 0;
  EXPECT_FALSE(check_twice(2, checked));
  EXPECT_EQ(checked, 1);
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  ASSERT_TRUE(made);
  const std::unique_ptr<int> taken = *std::move(made);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, ConvertsWhatItsValueConvertsFrom) {
  const Result<std::string> text = "words";
  EXPECT_EQ(*text, "words");
  EXPECT_EQ(text->size(), 5u);
}

TEST(Result, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (const Code code :
       {Code::kInvalid, Code::kNotFound, Code::kUnsupported, Code::kCorrupt, Code::kIo,
        Code::kLimit, Code::kUnavailable, Code::kDeadline, Code::kCancelled}) {
    EXPECT_NE(name_of(code), "unknown");
    names.insert(name_of(code));
  }
  EXPECT_EQ(names.size(), 9u);
}

TEST(Cat, JoinsPiecesOfEveryKind) {
  EXPECT_EQ(
      cat("a", 'b', std::string("c"), std::string_view("d"), -1, 18446744073709551615u, 0.5, true),
      "abcd-1184467440737095516150.5true");
  EXPECT_EQ(cat(), "");
}

TEST(CheckDeathTest, AbortsWithFileLineAndCondition) {
  THAW_CHECK(1 + 1 == 2);
  EXPECT_DEATH(THAW_CHECK(1 + 1 == 3), "result_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace thaw
