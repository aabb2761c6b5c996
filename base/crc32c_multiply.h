// CRC-32C by carry-less multiplication, on x86-64. Internal to crc32c.cc.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace thaw::internal {

// How many pairs of 64-bit polynomials the processor multiplies at once.
enum class Multiplier : std::uint8_t { kNone, kOne, kTwo, kFour };

// The widest that this processor has, together with the checksum's own instruction.
Multiplier widest_multiplier();

// Takes what it is faster for off the front of `bytes`. `crc`: the register after all before them,
// not inverted; returns the one after them. Precondition: the processor has it.
std::uint64_t take_multiplied(Multiplier by, std::uint64_t crc, Bytes& bytes);

// crc32c() by the instruction, with no wider multiplier than that; tables where there is neither.
// Precondition: the processor has `by`.
std::uint32_t crc32c_by(Multiplier by, Bytes bytes, std::uint32_t before);

// crc32c_followed_by(). Precondition: the processor has kOne.
std::uint32_t followed_by_multiplied(std::uint32_t checksum, std::uint64_t zero_bytes);

}  // namespace thaw::internal
