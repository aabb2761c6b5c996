#include "runtime/cost/price_list.h"

#include <gtest/gtest.h>

namespace thaw::cost {
namespace {

constexpr std::string_view kHeading = "platform,item,from,value,unit,date,source\n";

std::string refused(const std::string& rows) {
  const auto read = PriceList::built_in().with(std::string(kHeading) + rows, "mine.csv");
  if (read) return "read";
  EXPECT_EQ(read.error().code, Code::kInvalid);
  return read.error().message;
}

TEST(PriceList, StatesDateAndSourceOfEveryFigure) {
  const auto& figures = PriceList::built_in().figures();
  EXPECT_GE(figures.size(), 30u);
  for (const auto& [key, figure] : figures) {
    EXPECT_FALSE(figure.unit.empty()) << key.first << key.second;
    EXPECT_GE(figure.date, "2024-01-01") << key.first << key.second;
    EXPECT_TRUE(figure.source.starts_with("https://")) << key.first << key.second;
  }
}

TEST(PriceList, ReplacesItemByItem) {
  const auto list = PriceList::built_in().with(
      std::string(kHeading) +
          "# negotiated\r\n\r\n"
          "lambda-arm,duration,0,0.00001,USD/GB-s,2026-01-01,contract\r\n"
          "lambda-arm,duration,100,0.000005,USD/GB-s,2026-01-01,contract",
      "mine.csv");
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_DOUBLE_EQ(list->total("lambda-arm", "duration", 200), 100e-5 + 100 * 0.5e-5);
  EXPECT_DOUBLE_EQ(list->value("lambda-x86", "request"), 2e-7);
  EXPECT_EQ(list->figure("lambda-arm", "duration").source, "contract");
}

TEST(PriceList, NamesTheLineOfWhatItCannotRead) {
  EXPECT_EQ(refused("fc,unit,0,cheap,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 2: found 'cheap', want a number, 0 or more");
  EXPECT_EQ(refused("\nfc,unit,0,1\n"),
            "prices 'mine.csv': line 3: found '4 fields', want 7 fields");
  EXPECT_EQ(refused("fc,unit,0,-1,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 2: found '-1', want a number, 0 or more");
  EXPECT_EQ(refused("fc,unit,0,inf,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 2: found 'inf', want a number, 0 or more");
  EXPECT_EQ(refused("fc,unit,0,1 ,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 2: found '1 ', want a number, 0 or more");
  EXPECT_EQ(refused("fc,unit,5,1,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 2: found '5', want 0 in an item's first row");
  EXPECT_EQ(refused("fc,unit,0,1,USD/CU,2026-01-01,x\nfc,unit,0,1,USD/CU,2026-01-01,x\n"),
            "prices 'mine.csv': line 3: found '0', want more than in the item's row before");
  EXPECT_EQ(refused("fc,unit,0,1,USD/CU,today,x\n"),
            "prices 'mine.csv': line 2: found 'today', want a date, YYYY-MM-DD");
  EXPECT_EQ(
      refused("azure,unit,0,1,USD/CU,2026-01-01,x\n"),
      "prices 'mine.csv': line 2: found 'azure,unit', want a platform and item of prices.csv");
  EXPECT_EQ(refused(std::string(2000, 'x') + "\n"),
            "prices 'mine.csv': line 2: found 'a longer line', want at most 1000 bytes");
}

TEST(PriceList, RefusesWhatIsNoPriceList) {
  const auto message = [](std::string_view text) {
    const auto read = PriceList::built_in().with(text, "mine.csv");
    return read ? std::string("read") : read.error().message;
  };
  EXPECT_EQ(message(""),
            "prices 'mine.csv': line 1: found '', want the heading "
            "platform,item,from,value,unit,date,source");
  EXPECT_EQ(message("{}"),
            "prices 'mine.csv': line 1: found '{}', want the heading "
            "platform,item,from,value,unit,date,source");
  const auto large =
      PriceList::built_in().with(std::string(PriceList::kFileBytesMax + 1, '#'), "x");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kLimit);
}

}  // namespace
}  // namespace thaw::cost
