// Reading and writing integers in byte buffers (little-endian, unaligned), and sizes that cannot
// overflow unnoticed. Every file of ours is little-endian, and so is every machine we run on.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace thaw {

static_assert(std::endian::native == std::endian::little, "thaw needs a little-endian machine");

using Bytes = std::span<const std::byte>;

// What may be copied to and from a file byte by byte.
template <class T>
concept Plain = std::is_trivially_copyable_v<T>;

// A plain value from unaligned memory. Precondition: sizeof(T) bytes are readable at `from`.
template <Plain T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The value at `offset`, or nothing where the buffer ends before it does.
template <Plain T>
std::optional<T> load_at(Bytes from, std::size_t offset) {
  if (offset > from.size() || from.size() - offset < sizeof(T)) return std::nullopt;
  return load<T>(from.data() + offset);
}

template <Plain T>
void store(std::byte* to, const T& value) {
  std::memcpy(to, &value, sizeof value);
}

template <Plain T>
void append(std::vector<std::byte>& to, const T& value) {
  const std::size_t at = to.size();
  to.resize(at + sizeof value);
  std::memcpy(to.data() + at, &value, sizeof value);
}

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Checked arithmetic for sizes that come from files: nothing where the result would not fit.
inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

// The next multiple of `alignment`, a power of two. Precondition: it fits.
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace thaw
