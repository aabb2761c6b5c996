// Writes a snapshot, section after section, without holding more than a granule of it in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "snapshot/format.h"

namespace thaw::snapshot {

// One thread at a time. The final name appears only when finish() succeeds (base/file.h).
class Writer {
 public:
  // Errors: kIo.
  static Result<std::unique_ptr<Writer>> create(Files& files, const std::string& path);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Begins a section at the next aligned offset. Precondition: none is open; the name fits.
  Result<Done> begin(SectionType type, std::string_view name = {});
  // Adds bytes to the open section.
  Result<Done> append(Bytes bytes);
  // Pads the open section with zeros to a multiple of `alignment` bytes from its start; the offset
  // within the section that follows.
  Result<std::uint64_t> align(std::uint64_t alignment);
  Result<Done> end();
  // begin, append, end.
  Result<Done> add(SectionType type, std::string_view name, Bytes bytes);
  // Writes checksums, directory and header; syncs and renames. The writer is then spent.
  // Errors: kIo, kLimit (more than kSectionCountMax sections).
  Result<Done> finish();

 private:
  Writer() = default;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw::snapshot
