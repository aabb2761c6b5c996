#include "runtime/cost/quantiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace thaw::cost {

// The first 2^kSplitBits buckets hold one value each; from there on every power of two has as many.
std::size_t Quantiles::bucket_of(std::uint64_t value) {
  constexpr std::uint64_t kSplit = 1ULL << kSplitBits;
  if (value < kSplit) return static_cast<std::size_t>(value);
  const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSplitBits;
  return static_cast<std::size_t>((shift + 1) * kSplit + ((value >> shift) - kSplit));
}

std::uint64_t Quantiles::middle_of(std::size_t bucket) {
  constexpr std::uint64_t kSplit = 1ULL << kSplitBits;
  if (bucket < kSplit) return bucket;
  const std::uint64_t shift = bucket / kSplit - 1;
  const std::uint64_t low = (kSplit + bucket % kSplit) << shift;
  return low + ((1ULL << shift) >> 1);
}

void Quantiles::add(std::chrono::nanoseconds value) {
  value = std::max(value, std::chrono::nanoseconds(0));
  const std::size_t bucket = bucket_of(static_cast<std::uint64_t>(value.count()));
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  sum_ns_ += static_cast<double>(value.count());
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void Quantiles::add(const Quantiles& other) {
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds Quantiles::at(double q) const {
  if (count_ == 0) return std::chrono::nanoseconds(0);
  const double wanted = std::ceil(q * static_cast<double>(count_));
  const auto rank =
      std::clamp<std::uint64_t>(wanted < 1 ? 1 : static_cast<std::uint64_t>(wanted), 1, count_);
  if (rank == 1) return min_;
  if (rank == count_) return max_;
  std::uint64_t below = 0;
  std::size_t bucket = 0;
  while ((below += counts_[bucket]) < rank) ++bucket;
  const std::chrono::nanoseconds middle(static_cast<std::int64_t>(middle_of(bucket)));
  return std::clamp(middle, min_, max_);
}

std::chrono::nanoseconds Quantiles::mean() const {
  if (count_ == 0) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(std::llround(sum_ns_ / static_cast<double>(count_)));
}

}  // namespace thaw::cost
