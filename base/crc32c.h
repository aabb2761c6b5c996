// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4), by the processor's
// own instruction where there is one.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace thaw {

// Checksum of `bytes`; to go on from an earlier piece, pass its checksum as `before`.
// crc32c("123456789") == 0xE3069283.
std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);

// The checksum of the same bytes with `zero_bytes` zeros' worth of others behind them: what turns
// the checksums of pieces, found in any order, into that of the whole:
//   crc32c(a then b) == crc32c_followed_by(crc32c(a), b.size()) ^ crc32c(b)
std::uint32_t crc32c_followed_by(std::uint32_t checksum, std::uint64_t zero_bytes);

namespace internal {

// The same by tables alone: what machines without the instruction run, and the tests' oracle.
std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before);
std::uint32_t crc32c_followed_by_bits(std::uint32_t checksum, std::uint64_t zero_bytes);

}  // namespace internal
}  // namespace thaw
