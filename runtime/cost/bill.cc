#include "runtime/cost/bill.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/str.h"

namespace thaw::cost {
namespace {

constexpr std::string_view kNames[] = {"lambda-x86", "lambda-arm", "fc", "cloud-run"};
constexpr double kLambdaMbPerVcpu = 1769;
constexpr double kFreeDiskMb = 512;
constexpr std::uint64_t kFreeStreamBytes = 6 << 20;  // of each answer
constexpr double kGigabyte = 1 << 30;                // the pages count 1,024 MB

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

// Adds lines up.
class Writer {
 public:
  Writer(std::string_view platform, const PriceList& prices)
      : platform_(platform), prices_(prices) {}

  // `quantity` of `item`, less what is free.
  void add(std::string_view item, double quantity, std::string_view unit, double free = 0) {
    quantity = std::max(0.0, quantity - free);
    if (quantity == 0) return;
    const Money amount = Money::dollars(prices_.total(platform_, item, quantity));
    bill_.lines.push_back({std::string(item), quantity, std::string(unit), amount});
    bill_.total += amount;
  }
  double value(std::string_view item) const { return prices_.value(platform_, item); }
  Bill take() { return std::move(bill_); }

 private:
  std::string_view platform_;
  const PriceList& prices_;
  Bill bill_;
};

Bill lambda_bill(const Shape& shape, const Usage& usage, Writer writer, bool free_tier) {
  const double gb = shape.memory_mb / 1024.0;
  const double disk_gb = std::max(0.0, shape.disk_mb - kFreeDiskMb) / 1024.0;
  writer.add("request", static_cast<double>(usage.requests), "requests",
             free_tier ? writer.value("free-requests") : 0);
  writer.add("duration", gb * seconds(usage.run), "GB-s",
             free_tier ? writer.value("free-duration") : 0);
  writer.add("provisioned", gb * seconds(usage.provisioned), "GB-s");
  writer.add("provisioned-duration", gb * seconds(usage.provisioned_run), "GB-s");
  writer.add("disk", disk_gb * (seconds(usage.run) + seconds(usage.provisioned_run)), "GB-s");
  writer.add("snapshot", gb * seconds(usage.snapshot_kept), "GB-s");
  writer.add("restore", gb * static_cast<double>(usage.restores), "GB");
  writer.add("stream", static_cast<double>(usage.streamed_bytes) / kGigabyte, "GB",
             free_tier ? writer.value("free-stream") : 0);
  return writer.take();
}

// Time that counts as idle of instances kept: what they did not run.
double idle_seconds(const Usage& usage) {
  return std::max(0.0, seconds(usage.provisioned) - seconds(usage.provisioned_run));
}

Bill function_compute_bill(const Shape& shape, const Usage& usage, Writer writer) {
  const double gb = shape.memory_mb / 1024.0;
  const double disk_gb = std::max(0.0, shape.disk_mb - kFreeDiskMb) / 1024.0;
  const double active = seconds(usage.run) + seconds(usage.provisioned_run);
  const double idle = idle_seconds(usage);
  const double units = static_cast<double>(usage.requests) * writer.value("units-per-request") +
                       shape.vcpus * active * writer.value("units-per-vcpu") +
                       shape.vcpus * idle * writer.value("units-per-idle-vcpu") +
                       gb * (active + idle) * writer.value("units-per-memory") +
                       disk_gb * (active + idle) * writer.value("units-per-disk");
  writer.add("unit", units, "CU");
  return writer.take();
}

Bill cloud_run_bill(const Shape& shape, const Usage& usage, Writer writer, bool free_tier) {
  const double gib = shape.memory_mb / 1024.0;
  const double active = seconds(usage.run) + seconds(usage.provisioned_run);
  const double idle = idle_seconds(usage);
  // What is free is a sum of money: so much at the list's prices, whatever is asked for it here.
  const auto free = [&](std::string_view quantity, std::string_view at, std::string_view item) {
    const double price = writer.value(item);
    return free_tier && price > 0 ? writer.value(quantity) * writer.value(at) / price : 0;
  };
  writer.add("request", static_cast<double>(usage.requests), "requests",
             free_tier ? writer.value("free-requests") : 0);
  writer.add("vcpu", shape.vcpus * active, "vCPU-s", free("free-vcpu", "free-vcpu-price", "vcpu"));
  writer.add("memory", gib * active, "GiB-s", free("free-memory", "free-memory-price", "memory"));
  writer.add("idle-vcpu", shape.vcpus * idle, "vCPU-s");
  writer.add("idle-memory", gib * idle, "GiB-s");
  return writer.take();
}

}  // namespace

std::string_view name_of(Platform platform) { return kNames[static_cast<std::size_t>(platform)]; }

std::optional<Platform> platform_named(std::string_view name) {
  const auto at = std::find(std::begin(kNames), std::end(kNames), name);
  if (at == std::end(kNames)) return std::nullopt;
  return static_cast<Platform>(at - std::begin(kNames));
}

double default_vcpus(Platform platform, std::uint32_t memory_mb) {
  const double share = memory_mb / kLambdaMbPerVcpu;
  if (platform == Platform::kFunctionCompute) {
    const double gb = memory_mb / 1024.0;
    const double stepped = std::round(std::clamp(share, gb / 4, gb) * 20) / 20;
    return std::clamp(stepped, 0.05, 16.0);
  }
  if (platform == Platform::kCloudRun) {
    if (memory_mb <= 4096) return 1;
    if (memory_mb <= 8192) return 2;
    return memory_mb <= 16384 ? 4 : 8;
  }
  return std::min(share, 6.0);
}

Result<Done> check(const Shape& shape) {
  const bool lambda =
      shape.platform == Platform::kLambdaX86 || shape.platform == Platform::kLambdaArm;
  const std::uint32_t memory_max = lambda ? 10240 : 32768;
  const bool whole = shape.platform == Platform::kCloudRun && shape.vcpus >= 1;
  const std::uint32_t memory_min = whole ? 512 : 128;
  const auto wrong = [&](std::string_view found, std::string_view wanted) {
    return fail(Code::kInvalid,
                cat("shape of '", name_of(shape.platform), "': ", found, ", want ", wanted));
  };
  if (shape.memory_mb < memory_min || shape.memory_mb > memory_max) {
    return wrong(cat("memory of ", shape.memory_mb, " MB"), cat(memory_min, " to ", memory_max));
  }
  if (!(shape.vcpus > 0 && shape.vcpus <= 16)) {
    return wrong(cat(shape.vcpus, " vCPUs"), "more than 0, at most 16");
  }
  return Done{};
}

std::chrono::milliseconds billed(Platform platform, std::chrono::nanoseconds time) {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(time);
  if (platform != Platform::kCloudRun) return whole;
  constexpr std::int64_t kStep = 100;
  return std::chrono::milliseconds((whole.count() + kStep - 1) / kStep * kStep);
}

bool bills_starts(Platform platform) { return platform != Platform::kFunctionCompute; }

std::uint64_t billed_stream_bytes(Platform platform, std::uint64_t answer_bytes) {
  if (platform == Platform::kFunctionCompute || platform == Platform::kCloudRun) return 0;
  return answer_bytes - std::min(answer_bytes, kFreeStreamBytes);
}

Usage& Usage::operator+=(const Usage& other) {
  requests += other.requests;
  run += other.run;
  provisioned += other.provisioned;
  provisioned_run += other.provisioned_run;
  restores += other.restores;
  snapshot_kept += other.snapshot_kept;
  streamed_bytes += other.streamed_bytes;
  return *this;
}

Money Bill::invoiced() const {
  Money sum;
  for (const BillLine& line : lines) sum += line.amount.to_cents();
  return sum;
}

Bill bill(const Shape& shape, const Usage& usage, const PriceList& prices, bool free_tier) {
  Writer writer(name_of(shape.platform), prices);
  switch (shape.platform) {
    case Platform::kFunctionCompute: return function_compute_bill(shape, usage, writer);
    case Platform::kCloudRun: return cloud_run_bill(shape, usage, writer, free_tier);
    case Platform::kLambdaX86:
    case Platform::kLambdaArm: break;
  }
  return lambda_bill(shape, usage, writer, free_tier);
}

}  // namespace thaw::cost
