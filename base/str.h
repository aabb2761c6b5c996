// cat(...): one string from pieces (strings, characters, integers, floating point), for messages.
// No locale, no format strings, cheap to compile.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace thaw {
namespace internal {

inline void append_piece(std::string& out, std::string_view piece) { out.append(piece); }
inline void append_piece(std::string& out, const char* piece) { out.append(piece); }
inline void append_piece(std::string& out, const std::string& piece) { out.append(piece); }
inline void append_piece(std::string& out, char piece) { out.push_back(piece); }
inline void append_piece(std::string& out, bool piece) { out.append(piece ? "true" : "false"); }

template <class Number>
  requires(std::integral<Number> || std::floating_point<Number>)
void append_piece(std::string& out, Number piece) {
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, piece);
  out.append(digits, end.ptr);
}

}  // namespace internal

template <class... Pieces>
std::string cat(const Pieces&... pieces) {
  std::string out;
  (internal::append_piece(out, pieces), ...);
  return out;
}

}  // namespace thaw
