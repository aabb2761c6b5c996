// Seeded randomness: the same seed gives the same numbers on every machine and in every build.
// Not for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace thaw {

// xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. One thread at a time.
class Random {
 public:
  explicit Random(std::uint64_t seed);

  std::uint64_t next();                      // uniform over all 64-bit values
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), unbiased; bound > 0
  double unit();                             // uniform in [0, 1), 53 bits
  float symmetric();                         // uniform in [-1, 1)
  float normal();                            // mean 0, deviation about 1 (sum of twelve uniforms)
  std::vector<float> floats(std::size_t count);  // symmetric()

 private:
  std::uint64_t state_[4];
};

}  // namespace thaw
