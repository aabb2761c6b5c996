// Puts a damaged snapshot's checksums right, so that a test or fuzzer reaches what lies behind
// them.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "base/crc32c.h"
#include "snapshot/format.h"

namespace thaw::snapshot {

// The checksums of directory and header, and of the granules where that section can be found. Does
// what it can with whatever bytes there are; never reads or writes outside of them.
inline void mend(std::span<std::byte> file) {
  if (file.size() < sizeof(Header)) return;
  Header header;
  std::memcpy(&header, file.data(), sizeof header);
  const std::uint64_t directory_bytes =
      static_cast<std::uint64_t>(header.section_count) * sizeof(DirectoryEntry);
  const bool has_directory =
      directory_bytes <= file.size() && header.directory_offset <= file.size() - directory_bytes;
  const auto seal_header = [&] {
    if (has_directory) {
      header.directory_crc32c = crc32c(file.subspan(header.directory_offset, directory_bytes));
    }
    const auto bytes = std::as_bytes(std::span(&header, 1));
    header.header_crc32c = crc32c(bytes.first(offsetof(Header, header_crc32c)));
    std::copy(bytes.begin(), bytes.end(), file.begin());
  };
  seal_header();
  if (!has_directory || directory_bytes == 0) return;
  DirectoryEntry last;
  std::memcpy(&last, file.data() + header.directory_offset + directory_bytes - sizeof last,
              sizeof last);
  if (last.type != static_cast<std::uint32_t>(SectionType::kChecksums)) return;
  if (last.offset > file.size() || last.bytes > file.size() - last.offset) return;
  for (std::uint64_t granule = 0; granule < last.bytes / sizeof(std::uint32_t); ++granule) {
    const std::uint64_t begin = granule * kGranuleBytes;
    if (begin >= last.offset) break;
    const std::uint64_t size = std::min(kGranuleBytes, last.offset - begin);
    const std::uint32_t checksum = crc32c(file.subspan(begin, size));
    std::memcpy(file.data() + last.offset + granule * sizeof checksum, &checksum, sizeof checksum);
  }
  seal_header();  // a directory that overlaps the checksums has changed with them
}

}  // namespace thaw::snapshot
