// Builds the bytes of a GGUF file in memory, sound or not. Whatever a test wants wrong can be set:
// version, counts, any value's bytes, a tensor's offset.
//   const Blob file = gguf::Builder().text("general.architecture", "llama")
//                         .tensor("a.weight", gguf::Type::kF32, {4, 2}, floats).build();
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "snapshot/gguf/gguf.h"

namespace thaw::gguf {

class Builder {
 public:
  // What the file says in its header; the counts are the true ones unless set.
  std::uint32_t magic = 0x46554747;
  std::uint32_t version = 3;
  std::optional<std::uint64_t> key_count;
  std::optional<std::uint64_t> tensor_count;
  std::uint64_t data_alignment = 32;  // how build() lays tensors out; alignment() sets the key too

  // A key with a value of GGUF type number `type`; `value` is everything after that number.
  Builder& raw(std::string_view key, std::uint32_t type, const std::vector<std::byte>& value) {
    put_string(keys_, key);
    append(keys_, type);
    keys_.insert(keys_.end(), value.begin(), value.end());
    ++key_count_;
    return *this;
  }

  // A number of any type that GGUF has, by its C++ type; bool is GGUF's bool.
  template <class Number>
  Builder& number(std::string_view key, Number value) {
    std::vector<std::byte> bytes;
    append(bytes, value);
    return raw(key, number_of<Number>(), bytes);
  }

  Builder& text(std::string_view key, std::string_view value) {
    std::vector<std::byte> bytes;
    put_string(bytes, value);
    return raw(key, 8, bytes);
  }

  template <class Number>
  Builder& numbers(std::string_view key, const std::vector<Number>& values) {
    std::vector<std::byte> bytes;
    append(bytes, number_of<Number>());
    append(bytes, static_cast<std::uint64_t>(values.size()));
    for (const Number value : values) append(bytes, value);
    return raw(key, 9, bytes);
  }

  Builder& texts(std::string_view key, const std::vector<std::string>& values) {
    std::vector<std::byte> bytes;
    append(bytes, std::uint32_t{8});
    append(bytes, static_cast<std::uint64_t>(values.size()));
    for (const std::string& value : values) put_string(bytes, value);
    return raw(key, 9, bytes);
  }

  Builder& alignment(std::uint32_t value) {
    data_alignment = value;
    return number("general.alignment", value);
  }

  // `shape` as GGUF has it: the contiguous dimension first. The data follows the tensors before it,
  // aligned, unless `offset` says where it is claimed to be.
  Builder& tensor(std::string_view name, std::uint32_t type,
                  const std::vector<std::uint64_t>& shape, Bytes data,
                  std::optional<std::uint64_t> offset = {}) {
    data_.resize(round_up(data_.size(), data_alignment));
    put_string(tensors_, name);
    append(tensors_, static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t extent : shape) append(tensors_, extent);
    append(tensors_, type);
    append(tensors_, offset.value_or(data_.size()));
    data_.insert(data_.end(), data.begin(), data.end());
    ++tensor_count_;
    return *this;
  }
  Builder& tensor(std::string_view name, Type type, const std::vector<std::uint64_t>& shape,
                  Bytes data, std::optional<std::uint64_t> offset = {}) {
    return tensor(name, static_cast<std::uint32_t>(type), shape, data, offset);
  }

  std::vector<std::byte> build() const {
    std::vector<std::byte> file;
    append(file, magic);
    append(file, version);
    append(file, tensor_count.value_or(tensor_count_));
    append(file, key_count.value_or(key_count_));
    file.insert(file.end(), keys_.begin(), keys_.end());
    file.insert(file.end(), tensors_.begin(), tensors_.end());
    if (tensor_count_ == 0) return file;
    file.resize(round_up(file.size(), data_alignment));
    file.insert(file.end(), data_.begin(), data_.end());
    return file;
  }

  static void put_string(std::vector<std::byte>& to, std::string_view text) {
    append(to, static_cast<std::uint64_t>(text.size()));
    const Bytes bytes = as_bytes(text);
    to.insert(to.end(), bytes.begin(), bytes.end());
  }

 private:
  template <class Number>
  static constexpr std::uint32_t number_of() {
    if constexpr (std::is_same_v<Number, bool>) return 7;
    if constexpr (std::is_same_v<Number, float>) return 6;
    if constexpr (std::is_same_v<Number, double>) return 12;
    constexpr std::uint32_t is_signed = std::is_signed_v<Number> ? 1 : 0;
    if constexpr (sizeof(Number) == 1) return 0 + is_signed;
    if constexpr (sizeof(Number) == 2) return 2 + is_signed;
    if constexpr (sizeof(Number) == 4) return 4 + is_signed;
    return 10 + is_signed;
  }

  std::vector<std::byte> keys_;
  std::vector<std::byte> tensors_;
  std::vector<std::byte> data_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
};

}  // namespace thaw::gguf
