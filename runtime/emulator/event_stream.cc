#include "runtime/emulator/event_stream.h"

#include <array>
#include <nlohmann/json.hpp>

namespace thaw::emulator {
namespace {

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1) != 0 ? value >> 1 ^ 0xEDB88320u : value >> 1;
    }
    table[i] = value;
  }
  return table;
}();

constexpr char kStringHeader = 7;

void append_u32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::uint32_t crc32_ieee(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc = kCrcTable[(crc ^ static_cast<std::uint8_t>(c)) & 0xff] ^ crc >> 8;
  }
  return ~crc;
}

std::string event_message(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers,
    std::string_view payload) {
  std::string head;
  for (const auto& [name, value] : headers) {
    head.push_back(static_cast<char>(name.size()));
    head += name;
    head.push_back(kStringHeader);
    head.push_back(static_cast<char>(value.size() >> 8));
    head.push_back(static_cast<char>(value.size()));
    head += value;
  }
  std::string message;
  append_u32(message, static_cast<std::uint32_t>(16 + head.size() + payload.size()));
  append_u32(message, static_cast<std::uint32_t>(head.size()));
  append_u32(message, crc32_ieee(message));
  message += head;
  message += payload;
  append_u32(message, crc32_ieee(message));
  return message;
}

std::string payload_chunk(std::string_view payload) {
  return event_message({{":message-type", "event"},
                        {":event-type", "PayloadChunk"},
                        {":content-type", "application/octet-stream"}},
                       payload);
}

std::string invoke_complete(std::string_view error_code, std::string_view error_details,
                            std::string_view log_result) {
  auto body = nlohmann::ordered_json::object();
  if (!error_code.empty()) body["ErrorCode"] = error_code;
  if (!error_details.empty()) body["ErrorDetails"] = error_details;
  if (!log_result.empty()) body["LogResult"] = log_result;
  return event_message({{":message-type", "event"},
                        {":event-type", "InvokeComplete"},
                        {":content-type", "application/json"}},
                       body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace thaw::emulator
