// Safetensors files, from their headers.
#pragma once

#include <string>
#include <string_view>

#include "base/str.h"
#include "memory_files.h"

namespace thaw::safetensors {

// A file of this header (its length in front) and `data_bytes` bytes of data, counted up from 0.
inline Blob file_of(std::string_view header, std::size_t data_bytes) {
  Blob file;
  append(file, static_cast<std::uint64_t>(header.size()));
  const Bytes text = as_bytes(header);
  file.insert(file.end(), text.begin(), text.end());
  for (std::size_t at = 0; at < data_bytes; ++at) file.push_back(static_cast<std::byte>(at));
  return file;
}

// A tensor's entry.
inline std::string tensor(std::string_view name, std::string_view type, std::string_view shape,
                          std::string_view offsets) {
  return cat('"', name, R"(":{"dtype":")", type, R"(","shape":)", shape, R"(,"data_offsets":)",
             offsets, '}');
}

}  // namespace thaw::safetensors
