// Bills against the worked examples of the platforms' own price pages, to the cent; where a page
// works none, against its prices by hand.
#include "runtime/cost/bill.h"

#include <gtest/gtest.h>

namespace thaw::cost {
namespace {

using namespace std::chrono_literals;

const PriceList& prices() { return PriceList::built_in(); }

Money line(const Bill& bill, std::string_view item) {
  for (const BillLine& line : bill.lines) {
    if (line.item == item) return line.amount;
  }
  ADD_FAILURE() << "no line " << item;
  return {};
}

Shape lambda(std::uint32_t memory_mb) { return {Platform::kLambdaX86, memory_mb}; }

// aws.amazon.com/lambda/pricing worked both of these at $0.00001667 a GB-second.
TEST(Bill, EqualsTheExamplesOfLambdasPagePublishedWithRoundedPrices) {
  const auto rounded = prices().with(
      "platform,item,from,value,unit,date,source\n"
      "lambda-x86,duration,0,0.00001667,USD/GB-s,2019-12-01,https://aws.amazon.com/lambda/pricing/"
      "\n",
      "test");
  ASSERT_TRUE(rounded);
  // 512 MB, 3 million times, 1 s each.
  const Bill first = bill(lambda(512), {.requests = 3'000'000, .run = 3'000'000s}, *rounded, true);
  EXPECT_EQ(line(first, "duration").cents(), 1834);
  EXPECT_EQ(line(first, "request").cents(), 40);
  EXPECT_EQ(first.total.cents(), 1874);
  // 128 MB, 30 million times, 200 ms each.
  const Bill second =
      bill(lambda(128), {.requests = 30'000'000, .run = 6'000'000s}, *rounded, true);
  EXPECT_EQ(line(second, "duration").cents(), 583);
  EXPECT_EQ(line(second, "request").cents(), 580);
  EXPECT_EQ(second.total.cents(), 1163);
}

// 1,536 MB, 3 million times, 120 ms each: the page's example of a mobile backend.
TEST(Bill, EqualsTheExampleOfLambdasPageAtTodaysPrices) {
  const Bill month = bill(lambda(1536), {.requests = 3'000'000, .run = 360'000s}, prices(), true);
  EXPECT_EQ(line(month, "duration").cents(), 233);
  EXPECT_EQ(line(month, "request").cents(), 40);
  EXPECT_EQ(month.total.cents(), 273);
}

// 1,024 MB, a concurrency of 1,000 for two hours, 1.2 million invocations of 1 s.
TEST(Bill, EqualsTheExampleOfProvisionedConcurrency) {
  const Bill month = bill(
      lambda(1024),
      {.requests = 1'200'000, .provisioned = 7'200'000s, .provisioned_run = 1'200'000s}, prices());
  EXPECT_EQ(line(month, "provisioned").cents(), 3000);
  EXPECT_EQ(line(month, "request").cents(), 24);
  EXPECT_EQ(line(month, "provisioned-duration").cents(), 1167);
  EXPECT_EQ(month.total.cents(), 4191);
}

// SnapStart's: 74,400 restores of 1,024 MB.
TEST(Bill, EqualsTheExampleOfRestores) {
  const Bill month = bill(lambda(1024), {.restores = 74'400}, prices());
  EXPECT_EQ(month.total.cents(), 1040);
}

// A version of 4 GB, cached for thirty days.
TEST(Bill, AsksForCachedSnapshots) {
  const Bill month = bill(lambda(4096), {.snapshot_kept = std::chrono::hours(24 * 30)}, prices());
  EXPECT_EQ(month.total.cents(), 1560);
}

TEST(Bill, FallsFromTierToTierOnLambda) {
  // 6, 9 and 5 billion GB-s at falling prices: by hand 100,000.20 + 135,000 + 66,667.
  const Bill month = bill(lambda(1024), {.run = std::chrono::seconds(20'000'000'000)}, prices());
  EXPECT_EQ(month.total.cents(), 30'166'720);
  Shape arm{Platform::kLambdaArm, 1024};
  // 7.5, 11.25 and 1.25 billion: by hand 100,000.50 + 135,001.125 + 13,333.375.
  const Bill cheaper = bill(arm, {.run = std::chrono::seconds(20'000'000'000)}, prices());
  EXPECT_EQ(cheaper.total.cents(), 24'833'500);
}

// The billing page's example: 1.6 billion units in a month.
TEST(Bill, EqualsTheExampleOfFunctionCompute) {
  const Shape shape{Platform::kFunctionCompute, 1024, 1};
  // A vCPU and a GB: 1.15 units a second.
  const auto run = std::chrono::milliseconds(static_cast<std::int64_t>(1.6e12 / 1.15));
  EXPECT_EQ(bill(shape, {.run = run}, prices()).total.cents(), 2'420'000);
  const PriceList& list = prices();
  EXPECT_EQ(Money::dollars(list.total("fc", "unit", 100e6)).cents(), 200'000);
  EXPECT_EQ(Money::dollars(list.total("fc", "unit", 500e6)).cents(), 880'000);
  EXPECT_EQ(Money::dollars(list.total("fc", "unit", 1600e6)).cents(), 2'420'000);
}

TEST(Bill, CountsFunctionComputesUnits) {
  // 2 vCPUs, 4 GB, 10 GB of disk (9.5 billed); a million requests, 500,000 s of work, 100,000 s
  // idle.
  const Shape shape{Platform::kFunctionCompute, 4096, 2, 10240};
  const Bill month = bill(shape,
                          {.requests = 1'000'000,
                           .run = 300'000s,
                           .provisioned = 300'000s,
                           .provisioned_run = 200'000s},
                          prices());
  ASSERT_EQ(month.lines.size(), 1u);
  const double units = 7500 + 2 * 500e3 + 4 * 0.15 * 600e3 + 9.5 * 0.05 * 600e3;
  EXPECT_DOUBLE_EQ(month.lines[0].quantity, units);
  EXPECT_EQ(month.total.cents(), 3305);
}

TEST(Bill, CountsCloudRunsSeconds) {
  // A vCPU and half a GiB; a million requests of 1 s.
  const Shape shape{Platform::kCloudRun, 512, 1};
  const Usage usage{.requests = 1'000'000, .run = 1'000'000s};
  EXPECT_EQ(bill(shape, usage, prices()).total.cents(), 2400 + 125 + 40);
  // Less 180,000 vCPU-s, 360,000 GiB-s and 2 million requests.
  EXPECT_EQ(bill(shape, usage, prices(), true).total.cents(), 1968 + 35);
  // An instance kept for a day, busy an hour.
  const Usage kept{.provisioned = std::chrono::hours(24), .provisioned_run = std::chrono::hours(1)};
  EXPECT_EQ(
      bill(shape, kept, prices()).total.cents(),
      Money::dollars(3600 * (24e-6 + 0.5 * 2.5e-6) + 82800 * (2.5e-6 + 0.5 * 2.5e-6)).cents());
}

TEST(Bill, RoundsAsPlatformsDo) {
  EXPECT_EQ(billed(Platform::kLambdaX86, 1ns), 1ms);
  EXPECT_EQ(billed(Platform::kLambdaX86, 280ms), 280ms);
  EXPECT_EQ(billed(Platform::kFunctionCompute, 280ms + 1us), 281ms);
  EXPECT_EQ(billed(Platform::kCloudRun, 1ms), 100ms);
  EXPECT_EQ(billed(Platform::kCloudRun, 100ms), 100ms);
  EXPECT_EQ(billed(Platform::kCloudRun, 101ms), 200ms);
  EXPECT_EQ(billed(Platform::kCloudRun, 0ns), 0ms);
}

TEST(Bill, KnowsWhatMemoryBrings) {
  EXPECT_DOUBLE_EQ(default_vcpus(Platform::kLambdaArm, 1769), 1);
  EXPECT_DOUBLE_EQ(default_vcpus(Platform::kLambdaArm, 10240), 10240 / 1769.0);
  EXPECT_DOUBLE_EQ(default_vcpus(Platform::kFunctionCompute, 3008), 1.7);
  EXPECT_DOUBLE_EQ(default_vcpus(Platform::kCloudRun, 512), 1);
  EXPECT_DOUBLE_EQ(default_vcpus(Platform::kCloudRun, 8192), 2);
}

TEST(Bill, RefusesShapesThatNobodySells) {
  EXPECT_TRUE(check({Platform::kLambdaX86, 128}));
  EXPECT_EQ(check({Platform::kLambdaX86, 127}).error().code, Code::kInvalid);
  EXPECT_EQ(check({Platform::kLambdaArm, 10241}).error().message,
            "shape of 'lambda-arm': memory of 10241 MB, want 128 to 10240");
  EXPECT_EQ(check({Platform::kCloudRun, 256}).error().code, Code::kInvalid);
  EXPECT_EQ(check({Platform::kFunctionCompute, 1024, 0}).error().code, Code::kInvalid);
}

TEST(Bill, NamesPlatformsAsThePriceListDoes) {
  for (const Platform platform : {Platform::kLambdaX86, Platform::kLambdaArm,
                                  Platform::kFunctionCompute, Platform::kCloudRun}) {
    EXPECT_EQ(platform_named(name_of(platform)), platform);
    EXPECT_GT(bill({platform, 1024}, {.requests = 1, .run = 1s}, prices()).total, Money());
  }
  EXPECT_EQ(platform_named("lambda"), std::nullopt);
}

TEST(Money, ReadsAsPeopleWriteIt) {
  EXPECT_EQ(Money::dollars(12.345).text(), "$12.35");
  EXPECT_EQ(Money::dollars(0.001234).text(), "$0.00123");
  EXPECT_EQ(Money::dollars(0.0000021).text(), "$0.00000210");
  EXPECT_EQ(Money::dollars(-3).text(), "-$3.00");
  EXPECT_EQ(Money().text(), "$0.00");
  EXPECT_EQ(Money::dollars(0.005).cents(), 1);
  EXPECT_EQ(Money::dollars(-0.005).cents(), -1);
  EXPECT_EQ(Money::dollars(0.0049).cents(), 0);
  EXPECT_EQ(Money::dollars(1e30).nanodollars(), 9'200'000'000'000'000'000);
}

}  // namespace
}  // namespace thaw::cost
