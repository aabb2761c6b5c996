#include "runtime/web/request_id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <optional>

namespace thaw::web {
namespace {

// A version 4 UUID. The system's randomness, so that instances made of one image differ.
std::string new_id() {
  std::array<unsigned char, 16> bytes{};
  (void)!getrandom(bytes.data(), bytes.size(), 0);  // 16 bytes are never cut short
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    id += kDigits[bytes[i] >> 4];
    id += kDigits[bytes[i] & 15];
  }
  return id;
}

}  // namespace

bool is_request_id(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:/=+@").find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= kRequestIdBytesMax &&
         std::all_of(text.begin(), text.end(), fits);
}

std::string request_id_of(const http::Fields& headers,
                          std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::optional<std::string_view> value = headers.get(name);
    if (value && is_request_id(*value)) return std::string(*value);
  }
  return new_id();
}

}  // namespace thaw::web
