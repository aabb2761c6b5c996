// Messages of AWS's event stream (application/vnd.amazon.eventstream), in which the Invoke API
// streams answers. A message, big-endian: total length u32, headers' length u32, CRC-32 of these
// eight bytes, headers, payload, CRC-32 of all before. CRC-32 is IEEE's, not Castagnoli's.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace thaw::emulator {

inline constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";

// crc32_ieee("123456789") == 0xCBF43926.
std::uint32_t crc32_ieee(std::string_view bytes);

// A message with string headers. Precondition: a header's name has at most 255 bytes, its value at
// most 32767.
std::string event_message(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers,
    std::string_view payload);

std::string payload_chunk(std::string_view payload);
// The last message: {"ErrorCode", "ErrorDetails", "LogResult"}, each only where there is one.
std::string invoke_complete(std::string_view error_code, std::string_view error_details,
                            std::string_view log_result);

}  // namespace thaw::emulator
