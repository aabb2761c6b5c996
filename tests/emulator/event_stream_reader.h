// Reads event-stream messages, written apart from the writer under test and with CRC-32 computed
// bit by bit, so that the two cannot share a mistake.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thaw::emulator {

struct StreamMessage {
  std::map<std::string, std::string> headers;
  std::string payload;
};

inline std::uint32_t read_big_endian(std::string_view bytes, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value * 256 + static_cast<std::uint8_t>(bytes[i]);
  return value;
}

inline std::uint32_t slow_crc32(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320u : crc >> 1;
  }
  return crc ^ 0xFFFFFFFFu;
}

// Nothing where `bytes` is not a sequence of whole, sound messages.
inline std::optional<std::vector<StreamMessage>> read_messages(std::string_view bytes) {
  std::vector<StreamMessage> out;
  while (!bytes.empty()) {
    if (bytes.size() < 16) return std::nullopt;
    const std::size_t total = read_big_endian(bytes, 4);
    const std::size_t head = read_big_endian(bytes.substr(4), 4);
    if (total < 16 || total > bytes.size() || head > total - 16) return std::nullopt;
    if (read_big_endian(bytes.substr(8), 4) != slow_crc32(bytes.substr(0, 8))) return std::nullopt;
    if (read_big_endian(bytes.substr(total - 4), 4) != slow_crc32(bytes.substr(0, total - 4))) {
      return std::nullopt;
    }
    StreamMessage message;
    std::string_view headers = bytes.substr(12, head);
    while (!headers.empty()) {
      const std::size_t name = static_cast<std::uint8_t>(headers[0]);
      if (headers.size() < name + 4 || headers[1 + name] != 7) return std::nullopt;
      const std::size_t value = read_big_endian(headers.substr(2 + name), 2);
      if (headers.size() < name + 4 + value) return std::nullopt;
      message.headers[std::string(headers.substr(1, name))] = headers.substr(4 + name, value);
      headers.remove_prefix(4 + name + value);
    }
    message.payload = bytes.substr(12 + head, total - 16 - head);
    out.push_back(std::move(message));
    bytes.remove_prefix(total);
  }
  return out;
}

}  // namespace thaw::emulator
