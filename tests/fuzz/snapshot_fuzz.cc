// Fuzzes the container's reader: whatever the bytes, open and verify answer, and what open lends
// out lies in the file, in order and apart.
#include "../snapshot/memory_files.h"
#include "../snapshot/mend.h"
#include "base/check.h"
#include "snapshot/reader.h"

// Checksums are put right after each mutation; else almost nothing would pass the header's.
extern "C" void thaw_fuzz_mend(std::uint8_t* data, std::size_t size) {
  thaw::snapshot::mend(std::as_writable_bytes(std::span(data, size)));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thaw;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  MemoryFiles files;
  files.files["s"] = Blob(bytes.begin(), bytes.end());
  const auto reader = snapshot::Reader::open(files, "s");
  if (!reader) return 0;
  std::uint64_t end = sizeof(snapshot::Header);
  for (const snapshot::Section& section : (*reader)->sections()) {
    THAW_CHECK(section.offset >= end);
    THAW_CHECK(section.offset % snapshot::alignment_of(section.type) == 0);
    end = section.offset + section.bytes.size();
    THAW_CHECK(end <= size);
    const auto found = (*reader)->section(section.type, section.name);
    THAW_CHECK(found.has_value());
    THAW_CHECK(section.name.empty() || found->data() == section.bytes.data());
    THAW_CHECK(!snapshot::name_of(section.type).empty());
  }
  (void)(*reader)->verify().has_value();
  return 0;
}
