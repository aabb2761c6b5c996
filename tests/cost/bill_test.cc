// Bills against the platforms' prices by hand. Their pages' own examples: worked_examples_test.cc.
#include "runtime/cost/bill.h"

#include <gtest/gtest.h>

namespace thaw::cost {
namespace {

using namespace std::chrono_literals;

const PriceList& prices() { return PriceList::built_in(); }

Shape lambda(std::uint32_t memory_mb) { return {Platform::kLambdaX86, memory_mb}; }

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

TEST(Bill, BillsStreamsBeyondSixMegabytesOfEachOnLambda) {
  EXPECT_EQ(billed_stream_bytes(Platform::kLambdaX86, 6 << 20), 0u);
  EXPECT_EQ(billed_stream_bytes(Platform::kLambdaArm, (6 << 20) + 1), 1u);
  EXPECT_EQ(billed_stream_bytes(Platform::kLambdaX86, 0), 0u);
  EXPECT_EQ(billed_stream_bytes(Platform::kFunctionCompute, 1 << 30), 0u);
  EXPECT_EQ(billed_stream_bytes(Platform::kCloudRun, 1 << 30), 0u);
  Usage usage{.streamed_bytes = std::uint64_t{150} << 30};
  usage += usage;
  EXPECT_EQ(bill(lambda(128), usage, prices()).total.cents(), 240);
  EXPECT_EQ(bill(lambda(128), usage, prices(), true).total.cents(), 160);
}

TEST(Bill, IsInvoicedLineByLine) {
  // 0.6 cents of each of two lines: 1.2 cents in all, two cents on an invoice.
  const Bill month = bill(lambda(1024), {.requests = 30'000, .run = 360s}, prices());
  EXPECT_EQ(month.total.cents(), 1);
  EXPECT_EQ(month.invoiced().cents(), 2);
  EXPECT_EQ(Bill().invoiced(), Money());
}

TEST(Bill, TakesNoMoreThanAllOffAtCloudRun) {
  const Usage usage{.requests = 10, .run = 1000s};
  EXPECT_TRUE(bill({Platform::kCloudRun, 512, 1}, usage, prices(), true).lines.empty());
}

TEST(Bill, RefusesShapesThatNobodySells) {
  EXPECT_TRUE(check({Platform::kLambdaX86, 128}));
  EXPECT_EQ(check({Platform::kLambdaX86, 127}).error().code, Code::kInvalid);
  EXPECT_EQ(check({Platform::kLambdaArm, 10241}).error().message,
            "shape of 'lambda-arm': memory of 10241 MB, want 128 to 10240");
  EXPECT_EQ(check({Platform::kCloudRun, 256}).error().code, Code::kInvalid);
  EXPECT_TRUE(check({Platform::kCloudRun, 256, 0.5}));
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
