// Percentiles of any number of durations in a fixed 60 KB.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace thaw::cost {

// Counts in buckets whose width is a 128th of their value (powers of two, split evenly), so a
// quantile is within kErrorMax of the duration that stands at its rank; below 128 ns, and at both
// ends, it is exact. Sums of sketches are the sketch of all. One thread at a time.
class Quantiles {
 public:
  static constexpr double kErrorMax = 1.0 / 256;  // relative; a bucket's middle stands for it

  void add(std::chrono::nanoseconds value);  // less than 0 counts as 0
  void add(const Quantiles& other);

  std::uint64_t count() const { return count_; }
  // The smallest value that at least `q` of all values are no larger than, 0 < q <= 1: that of rank
  // ceil(q x count). 0 where there is none.
  std::chrono::nanoseconds at(double q) const;
  std::chrono::nanoseconds min() const { return count_ == 0 ? std::chrono::nanoseconds(0) : min_; }
  std::chrono::nanoseconds max() const { return max_; }
  std::chrono::nanoseconds mean() const;

 private:
  static constexpr unsigned kSplitBits = 7;
  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t middle_of(std::size_t bucket);

  std::vector<std::uint64_t> counts_;  // grown up to the largest bucket in use
  std::uint64_t count_ = 0;
  double sum_ns_ = 0;
  std::chrono::nanoseconds min_ = std::chrono::nanoseconds::max();
  std::chrono::nanoseconds max_{0};
};

}  // namespace thaw::cost
