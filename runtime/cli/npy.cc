#include "runtime/cli/npy.h"

#include "base/str.h"

namespace thaw::cli {

Result<std::unique_ptr<NpyWriter>> NpyWriter::create(Files& files, const std::string& path,
                                                     std::uint64_t rows, std::uint64_t cols) {
  auto writer = std::unique_ptr<NpyWriter>(new NpyWriter);
  THAW_TRY(file, files.create(path));
  writer->file_ = std::move(file);
  std::string dictionary =
      cat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", cols, "), }");
  // Magic, version and length take ten bytes; the data begins at a multiple of 64.
  constexpr std::size_t kPrefix = 10;
  dictionary.append(63 - (kPrefix + dictionary.size()) % 64, ' ');
  dictionary.push_back('\n');
  std::string head = "\x93NUMPY";
  head.push_back(1);
  head.push_back(0);
  head.push_back(static_cast<char>(dictionary.size() & 0xFF));
  head.push_back(static_cast<char>(dictionary.size() >> 8));
  head += dictionary;
  THAW_TRY_DO(writer->file_->append(as_bytes(head)));
  return writer;
}

Result<Done> NpyWriter::append(std::span<const float> row) {
  return file_->append(std::as_bytes(row));
}

Result<Done> NpyWriter::finish() { return file_->commit(); }

}  // namespace thaw::cli
