#include "base/random.h"

#include <bit>

#include "base/check.h"

namespace thaw {

Random::Random(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {  // splitmix64 (Steele, Lea, Flood 2014)
    seed += 0x9E3779B97F4A7C15;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    word = z ^ (z >> 31);
  }
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  THAW_CHECK(bound > 0);
  // The high half of a 128-bit product is uniform once the low halves below 2^64 mod bound, which
  // would make some results likelier, are thrown away (Lemire 2019).
  __extension__ using Wide = unsigned __int128;
  Wide product = Wide{next()} * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t uneven = (0 - bound) % bound;
    while (static_cast<std::uint64_t>(product) < uneven) product = Wide{next()} * bound;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

float Random::symmetric() { return static_cast<float>(next() >> 40) * 0x1p-23f - 1.0f; }

float Random::normal() {
  // symmetric() has variance 1/3; half of it, twelve times, has variance 1.
  float sum = 0.0f;
  for (int i = 0; i < 12; ++i) sum += symmetric();
  return sum * 0.5f;
}

std::vector<float> Random::floats(std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = symmetric();
  return values;
}

}  // namespace thaw
