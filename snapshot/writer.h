// Writes a snapshot, section after section, without holding more than two granules of it in memory
// (the first, whose checksum needs the header that is known last, and the one being filled).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "snapshot/sections.h"

namespace thaw::snapshot {

// One thread at a time. The final name appears only when finish() succeeds (base/file.h).
class Writer {
 public:
  // Errors: kIo.
  static Result<std::unique_ptr<Writer>> create(Files& files, const std::string& path);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Begins a section at the next aligned offset. Precondition: none is open, and `type` is not
  // kChecksums, which finish() writes.
  // Errors: kIo, kLimit (too many sections),
  //         kInvalid (the name is too long, not plain UTF-8, or was used for this type before).
  Result<Done> begin(SectionType type, std::string_view name = {});
  // Adds bytes to the open section. Errors: kIo; the writer is then spent.
  Result<Done> append(Bytes bytes);
  // Pads the open section with zeros to a multiple of `alignment` bytes from its start; the offset
  // within the section that follows. Precondition: a power of two. Errors: kIo.
  Result<std::uint64_t> align(std::uint64_t alignment);
  // Ends the open section. Errors: kIo.
  Result<Done> end();
  // begin, append, end.
  Result<Done> add(SectionType type, std::string_view name, Bytes bytes);
  // The sections that have ended, read back from what is written so far: weights can be used before
  // the file is whole. Precondition: no section is open. Errors: kIo.
  Result<std::unique_ptr<Sections>> read_back();
  // Writes checksums, directory and header; syncs and renames. Precondition: no section is open.
  // The writer is then spent. Errors: kIo, also where an earlier call has failed.
  Result<Done> finish();

 private:
  Writer();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw::snapshot
