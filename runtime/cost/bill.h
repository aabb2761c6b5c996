// What a function's use comes to on each platform: usage in, lines of money out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/cost/money.h"
#include "runtime/cost/price_list.h"

namespace thaw::cost {

enum class Platform : unsigned char { kLambdaX86, kLambdaArm, kFunctionCompute, kCloudRun };

std::string_view name_of(Platform platform);  // as prices.csv spells it: "lambda-x86"
std::optional<Platform> platform_named(std::string_view name);

// What an instance has.
struct Shape {
  Platform platform = Platform::kLambdaX86;
  std::uint32_t memory_mb = 1769;
  double vcpus = 1;  // see default_vcpus(); Lambda's follow from memory and are not billed
  std::uint32_t disk_mb = 512;  // what lies beyond the 512 MB that cost nothing is billed
};

// What a platform gives or asks for that much memory. Lambda: 1 for each 1,769 MB, up to 6.
// Function Compute: as much, within its 1:1 to 1:4 vCPU to GB, in steps of 0.05. Cloud Run: the
// fewest it allows for the memory, at least 1.
double default_vcpus(Platform platform, std::uint32_t memory_mb);
// Errors: kInvalid, naming the platform's bounds: memory of 128 to 10,240 MB on Lambda, 128 to
// 32,768 on the others; Cloud Run needs 512 for a whole vCPU, and for a part of one 128.
Result<Done> check(const Shape& shape);

// An invocation's time as it is billed: rounded up to 1 ms, on Cloud Run to 100 ms.
std::chrono::milliseconds billed(Platform platform, std::chrono::nanoseconds time);
// Whether the time that an instance takes to start is billed: on Lambda (since August 2025) and on
// Cloud Run, not on Function Compute.
bool bills_starts(Platform platform);

// The bytes of one streamed answer that are billed for having been streamed: those beyond the first
// 6 MB on Lambda, where no answer that is not streamed is longer; none elsewhere.
std::uint64_t billed_stream_bytes(Platform platform, std::uint64_t answer_bytes);

// What a function used. Times are sums over instances, already rounded as billed.
struct Usage {
  std::uint64_t requests = 0;
  std::chrono::milliseconds run{0};              // on demand, billed starts included
  std::chrono::milliseconds provisioned{0};      // instances kept, whatever they did
  std::chrono::milliseconds provisioned_run{0};  // what provisioned ones ran
  std::uint64_t restores = 0;                    // starts from Lambda's SnapStart
  std::chrono::milliseconds snapshot_kept{0};    // its cached versions
  std::uint64_t streamed_bytes = 0;              // those that are billed

  Usage& operator+=(const Usage& other);
};

struct BillLine {
  std::string item;  // "duration"
  double quantity = 0;
  std::string unit;  // "GB-s"
  Money amount;
};

struct Bill {
  std::vector<BillLine> lines;
  Money total;  // exact

  // As price pages and invoices write it: each line rounded to a cent, then added up.
  Money invoiced() const;
};

// A month's bill, tiers and all; `free_tier`: less what a platform gives away each month, on Cloud
// Run as the money that it comes to at list prices. Lines that come to nothing used are left out.
Bill bill(const Shape& shape, const Usage& usage, const PriceList& prices, bool free_tier = false);

}  // namespace thaw::cost
