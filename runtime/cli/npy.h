// Writes a float32 array as NumPy does: format 1.0, C order, little-endian.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace thaw::cli {

// One thread at a time. The file appears when finish() succeeds.
class NpyWriter {
 public:
  // Errors: kIo.
  static Result<std::unique_ptr<NpyWriter>> create(Files& files, const std::string& path,
                                                   std::uint64_t rows, std::uint64_t cols);
  Result<Done> append(std::span<const float> row);
  Result<Done> finish();

 private:
  NpyWriter() = default;
  std::unique_ptr<WriteFile> file_;
};

}  // namespace thaw::cli
