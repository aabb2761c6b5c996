// Mutations of byte strings for the smoke runs: what libFuzzer does best, in a hundred lines, and
// the same from the same seed on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace thaw::fuzz {

using Input = std::vector<std::uint8_t>;

// One of `corpus` after one to eight changes: flipped bits, other bytes, integers of 1 to 8 bytes
// set to extremes or moved a little, pieces removed, doubled, zeroed or taken from another entry,
// the end cut. At most `bytes_max` long. Precondition: the corpus isn't empty.
Input mutate(const std::vector<Input>& corpus, std::size_t bytes_max, Random& random);

}  // namespace thaw::fuzz
