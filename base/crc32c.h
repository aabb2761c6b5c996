// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4), by the processor's
// own instruction where there is one.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace thaw {

// Checksum of `bytes`; to go on from an earlier piece, pass its checksum as `before`.
// crc32c("123456789") == 0xE3069283.
std::uint32_t crc32c(Bytes bytes, std::uint32_t before = 0);

namespace internal {

// The same by tables alone: what machines without the instruction run, and the tests' oracle.
std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before);

}  // namespace internal
}  // namespace thaw
