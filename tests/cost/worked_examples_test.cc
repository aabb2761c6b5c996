// The worked examples of the platforms' own price pages: every line and every total to the cent.
//   Lambda            aws.amazon.com/lambda/pricing, 2026
//   Function Compute  alibabacloud.com/help/en/functioncompute/fc/product-overview, 2024-10, 2025
//   Cloud Run         cloud.google.com/run/pricing, 2025-08-19
// Of Lambda's page not here, since it is not billed here: Managed Instances, event pollers, Lambda
// at the edge, MicroVMs. Of Cloud Run's: a website and a GPU, whose busy time the page does not
// tell; a job and a worker pool, which are sold apart from services.
#include <gtest/gtest.h>

#include "runtime/cost/bill.h"

namespace thaw::cost {
namespace {

using namespace std::chrono_literals;

const PriceList& prices() { return PriceList::built_in(); }

std::int64_t cents(const Bill& bill, std::string_view item) {
  for (const BillLine& line : bill.lines) {
    if (line.item == item) return line.amount.cents();
  }
  ADD_FAILURE() << "no line " << item;
  return 0;
}

PriceList with(const std::string& rows) {
  const auto list = prices().with("platform,item,from,value,unit,date,source\n" + rows, "test");
  EXPECT_TRUE(list) << list.error().message;
  return list ? *list : prices();
}

Shape lambda(std::uint32_t memory_mb) { return {Platform::kLambdaX86, memory_mb}; }

// The page of 2019, at $0.00001667 a GB-second.
TEST(WorkedExamples, OfLambdaAtRoundedPrices) {
  const PriceList rounded = with(
      "lambda-x86,duration,0,0.00001667,USD/GB-s,2019-12-01,https://aws.amazon.com/lambda/pricing/"
      "\n");
  // 512 MB, 3 million times, 1 s each.
  const Bill first = bill(lambda(512), {.requests = 3'000'000, .run = 3'000'000s}, rounded, true);
  EXPECT_EQ(cents(first, "duration"), 1834);
  EXPECT_EQ(cents(first, "request"), 40);
  EXPECT_EQ(first.invoiced().cents(), 1874);
  // 128 MB, 30 million times, 200 ms each.
  const Bill second =
      bill(lambda(128), {.requests = 30'000'000, .run = 6'000'000s}, rounded, true);
  EXPECT_EQ(cents(second, "duration"), 583);
  EXPECT_EQ(cents(second, "request"), 580);
  EXPECT_EQ(second.invoiced().cents(), 1163);
}

// "Mobile application backend": 1,536 MB, 3 million times 120 ms.
TEST(WorkedExamples, OfLambdasMobileBackend) {
  const Bill month = bill(lambda(1536), {.requests = 3'000'000, .run = 360'000s}, prices(), true);
  EXPECT_EQ(cents(month, "duration"), 233);
  EXPECT_EQ(cents(month, "request"), 40);
  EXPECT_EQ(month.invoiced().cents(), 273);
}

// "Enriching streaming telemetry": 10,000 vehicles, once an hour for 31 days, 2 s of 1 GB; nothing
// free.
TEST(WorkedExamples, OfLambdasTelemetry) {
  const Bill month = bill(lambda(1024), {.requests = 7'440'000, .run = 14'880'000s}, prices());
  EXPECT_EQ(cents(month, "request"), 149);
  EXPECT_EQ(cents(month, "duration"), 24'800);
  EXPECT_EQ(month.invoiced().cents(), 24'949);
}

// "Performing ML on customer support tickets": 6 million times 280 ms, 4,096 MB, 2,048 MB of disk.
TEST(WorkedExamples, OfLambdasEphemeralStorage) {
  Shape shape = lambda(4096);
  shape.disk_mb = 2048;
  const Bill month = bill(shape, {.requests = 6'000'000, .run = 1'680'000s}, prices(), true);
  EXPECT_EQ(cents(month, "duration"), 10'533);
  EXPECT_EQ(cents(month, "request"), 100);
  EXPECT_EQ(cents(month, "disk"), 8);
  EXPECT_EQ(month.invoiced().cents(), 10'641);
}

// "Mobile application launch": a concurrency of 100 for 8 hours, 500,000 requests of 100 ms in
// them, 2.5 million of 120 ms besides; 1,536 MB.
TEST(WorkedExamples, OfLambdasProvisionedLaunchDay) {
  const Bill month = bill(lambda(1536),
                          {.requests = 3'000'000,
                           .run = 300'000s,
                           .provisioned = 100 * 8h,
                           .provisioned_run = 50'000s},
                          prices(), true);
  EXPECT_EQ(cents(month, "provisioned"), 1800);
  EXPECT_EQ(cents(month, "request"), 40);
  EXPECT_EQ(cents(month, "provisioned-duration"), 73);
  EXPECT_EQ(cents(month, "duration"), 83);
  EXPECT_EQ(month.invoiced().cents(), 1996);
}

// "Cyber Monday": a concurrency of 7 for a day, 2 million requests of 280 ms; 4,096 MB; nothing
// free.
TEST(WorkedExamples, OfLambdasProvisionedCyberMonday) {
  const Bill month =
      bill(lambda(4096),
           {.requests = 2'000'000, .provisioned = 7 * 24h, .provisioned_run = 560'000s}, prices());
  EXPECT_EQ(cents(month, "provisioned"), 1008);
  EXPECT_EQ(cents(month, "provisioned-duration"), 2178);
  EXPECT_EQ(cents(month, "request"), 40);
  EXPECT_EQ(month.invoiced().cents(), 3226);
}

// The page of 2019: 1,024 MB, a concurrency of 1,000 for two hours, 1.2 million invocations of 1 s.
TEST(WorkedExamples, OfLambdasProvisionedTwoHours) {
  const Bill month = bill(
      lambda(1024),
      {.requests = 1'200'000, .provisioned = 7'200'000s, .provisioned_run = 1'200'000s}, prices());
  EXPECT_EQ(cents(month, "provisioned"), 3000);
  EXPECT_EQ(cents(month, "request"), 24);
  EXPECT_EQ(cents(month, "provisioned-duration"), 1167);
  EXPECT_EQ(month.invoiced().cents(), 4191);
}

// SnapStart: the telemetry again, one version kept for 31 days, one request in 100 restored.
TEST(WorkedExamples, OfLambdasSnapStart) {
  const Bill month = bill(lambda(1024),
                          {.requests = 7'440'000,
                           .run = 14'880'000s,
                           .restores = 74'400,
                           .snapshot_kept = 31 * 24h},
                          prices());
  EXPECT_EQ(cents(month, "request"), 149);
  EXPECT_EQ(cents(month, "duration"), 24'800);
  EXPECT_EQ(cents(month, "snapshot"), 403);
  EXPECT_EQ(cents(month, "restore"), 1040);
  EXPECT_EQ(month.invoiced().cents(), 26'392);
}

// "Streaming Server Side Rendered Web Content": 1,536 MB, 3 million times 500 ms; two million
// answers of 100 KB and one of 7 MB; of what is free the 100 GB of streams are used up.
TEST(WorkedExamples, OfLambdasResponseStreams) {
  constexpr std::uint64_t kUsedUp = std::uint64_t{100} << 30;
  const std::uint64_t streamed = 2'000'000 * billed_stream_bytes(Platform::kLambdaX86, 100 << 10) +
                                 1'000'000 * billed_stream_bytes(Platform::kLambdaX86, 7 << 20);
  const Usage usage{
      .requests = 3'000'000, .run = 1'500'000s, .streamed_bytes = kUsedUp + streamed};
  const Bill month = bill(lambda(1536), usage, prices(), true);
  EXPECT_EQ(cents(month, "duration"), 3083);
  EXPECT_EQ(cents(month, "request"), 40);
  EXPECT_EQ(cents(month, "stream"), 781);
  EXPECT_EQ(month.invoiced().cents(), 3904);
  EXPECT_EQ(month.total.cents(), 3905) << "the page adds up what it has rounded";
}

// Of "durable functions" what they have of ordinary ones: a million executions of 32 s in two
// invocations each, 1 GB, arm64.
TEST(WorkedExamples, OfLambdasDurableFunctionsOnArm) {
  const Bill month = bill({Platform::kLambdaArm, 1024},
                          {.requests = 2'000'000, .run = 32'000'000s}, prices(), true);
  EXPECT_EQ(cents(month, "duration"), 42'134);
  EXPECT_EQ(cents(month, "request"), 20);
}

// Of "tenant isolation" what it has of ordinary functions: 10 million times 2 s, 1 GB. The page has
// $333.34 for 20,000,000 x $0.0000166667, which is $333.334: it rounds up.
TEST(WorkedExamples, OfLambdasTenantIsolation) {
  const Bill month = bill(lambda(1024), {.requests = 10'000'000, .run = 20'000'000s}, prices());
  EXPECT_EQ(cents(month, "request"), 200);
  EXPECT_EQ(month.lines[1].amount.nanodollars(), 333'334'000'000);
}

// Of the event pollers' two first examples what the functions cost: a million times 2 s a day with
// what is free, and a million times 1 s without.
TEST(WorkedExamples, OfLambdasEventPollers) {
  const Bill kafka = bill(lambda(1024), {.run = 60'000'000s}, prices(), true);
  EXPECT_EQ((cents(kafka, "duration") + 5) / 10, 9933) << "the page has $993.3";
  const Bill queue = bill(lambda(1024), {.requests = 30'000'000, .run = 30'000'000s}, prices());
  EXPECT_EQ(cents(queue, "duration"), 50'000);
  EXPECT_EQ(cents(queue, "request"), 600);
}

// The billing overview: 800 million vCPU-s, 2 billion GB-s, 12 billion invocations; and GPUs, which
// are not billed here: 210 and 200 million units of them.
TEST(WorkedExamples, OfFunctionComputesMonth) {
  const Shape shape{Platform::kFunctionCompute, 2560, 1};  // 2.5 GB to a vCPU
  const Bill month = bill(shape, {.requests = 12'000'000'000, .run = 800'000'000s}, prices());
  ASSERT_EQ(month.lines.size(), 1u);
  EXPECT_DOUBLE_EQ(month.lines[0].quantity, 800e6 + 300e6 + 90e6);
  const double with_gpus = month.lines[0].quantity + 210e6 + 200e6;
  EXPECT_EQ(Money::dollars(prices().total("fc", "unit", with_gpus)).cents(), 2'420'000);
  EXPECT_EQ(Money::dollars(prices().total("fc", "unit", 100e6)).cents(), 200'000);
  EXPECT_EQ(Money::dollars(prices().total("fc", "unit", 500e6)).cents(), 880'000);
}

// The same page's provisioned instance: 0.35 vCPUs, 512 MB, 50 hours, 10 of them busy, a million
// invocations.
TEST(WorkedExamples, OfFunctionComputesProvisionedInstance) {
  const Shape shape{Platform::kFunctionCompute, 512, 0.35};
  const Bill month = bill(
      shape, {.requests = 1'000'000, .provisioned = 50h, .provisioned_run = 10h}, prices());
  ASSERT_EQ(month.lines.size(), 1u);
  EXPECT_NEAR(month.lines[0].quantity, 33'600, 1e-6);
  EXPECT_EQ(month.invoiced().cents(), 67);
}

// Pay-as-you-go: 3 million times 200 ms, 0.25 vCPUs, 512 MB: the units are the page's, 217,500; at
// the first tier's list price.
TEST(WorkedExamples, OfFunctionComputesPayAsYouGo) {
  const Shape shape{Platform::kFunctionCompute, 512, 0.25};
  const Bill month = bill(shape, {.requests = 3'000'000, .run = 600'000s}, prices());
  ASSERT_EQ(month.lines.size(), 1u);
  EXPECT_DOUBLE_EQ(month.lines[0].quantity, 22'500 + 45'000 + 150'000);
  EXPECT_EQ(month.invoiced().cents(), 435);
}

// "Serverless Function": 10 million requests of 200 ms, 0.167 vCPUs, 256 MiB. The page's figure
// "without the vCPU/Memory free tier" has the requests' in it.
TEST(WorkedExamples, OfCloudRunsServerlessFunction) {
  const Shape shape{Platform::kCloudRun, 256, 0.167};
  EXPECT_TRUE(check(shape));
  const Usage usage{.requests = 10'000'000, .run = 2'000'000s};
  EXPECT_EQ(bill(shape, usage, prices(), true).invoiced().cents(), 725);
  const PriceList none = with(
      "cloud-run,free-vcpu,0,0,vCPU-s/month,2025-08-19,x\n"
      "cloud-run,free-memory,0,0,GiB-s/month,2025-08-19,x\n");
  EXPECT_EQ(bill(shape, usage, none, true).invoiced().cents(), 1247);
}

// "Single Concurrency": 10 million requests of 400 ms, a vCPU, 512 MiB, at the prices of committed
// use, though the page does not say so. What is free stays the $4.32 and $0.90 of list prices; the
// page has $81.72 then, which is $81.27 with two digits changed about.
TEST(WorkedExamples, OfCloudRunsSingleConcurrency) {
  const std::string committed =
      "cloud-run,vcpu,0,0.00001992,USD/vCPU-s,2025-08-19,x\n"
      "cloud-run,memory,0,0.000002075,USD/GiB-s,2025-08-19,x\n"
      "cloud-run,request,0,0.000000332,USD/request,2025-08-19,x\n";
  const Shape shape{Platform::kCloudRun, 512, 1};
  const Usage usage{.requests = 10'000'000, .run = 4'000'000s};
  const PriceList none = with(committed +
                              "cloud-run,free-vcpu,0,0,vCPU-s/month,2025-08-19,x\n"
                              "cloud-run,free-memory,0,0,GiB-s/month,2025-08-19,x\n");
  EXPECT_EQ(bill(shape, usage, none, true).invoiced().cents(), 8649);
  EXPECT_EQ(bill(shape, usage, with(committed), true).invoiced().cents(), 8649 - 522);
}

}  // namespace
}  // namespace thaw::cost
