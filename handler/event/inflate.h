// gzip (RFC 1952), whole and in memory: what log groups and producers wrap their text in.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thaw::event {

// What one value may become: a thousandth of its size travels, so the size that counts is this one.
// Ten times the largest payload of any source.
inline constexpr std::size_t kInflatedBytesMax = 64u << 20;

// All members of `packed`, one after the other; checksums and lengths are checked.
// Errors: kCorrupt  not gzip, cut short, a code or distance out of range, another checksum
//         kLimit    more than `bytes_max` bytes come out
Result<std::string> gunzip(std::string_view packed, std::size_t bytes_max = kInflatedBytesMax);

}  // namespace thaw::event
