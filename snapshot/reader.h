// Opens a snapshot and lends out its sections. Section contents are opaque here: what a section
// means is its writer's business.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "snapshot/format.h"

namespace thaw::snapshot {

struct Section {
  SectionType type{};
  std::string_view name;
  std::uint64_t offset = 0;
  Bytes bytes;
};

// The name of a section type as `inspect` prints it ("weights"); "unknown" for others.
std::string_view name_of(SectionType type);

// A snapshot file, mapped read-only. Thread-safe: all methods are const.
class Reader {
 public:
  // Maps `path` and checks its header and directory. Touches no section, so the cost does not grow
  // with the size of the model.
  // Errors: kNotFound     no such file
  //         kUnsupported  another format version, or a section with flags that this build lacks
  //         kCorrupt      bad magic, checksum, size, order, names or section bounds
  //         kIo           the map failed
  static Result<std::unique_ptr<Reader>> open(Files& files, const std::string& path);

  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // In the file's order. Views live as long as this Reader.
  std::span<const Section> sections() const { return sections_; }
  // The first section of this type (and name, if not empty). Touching its bytes may fault pages in.
  // Errors: kNotFound.
  Result<Bytes> section(SectionType type, std::string_view name = {}) const;
  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const;
  std::uint16_t version_minor() const;

  // Reads every byte that open() did not: every granule's checksum, every padding byte. Errors:
  // kCorrupt, naming the granule and the section it lies in.
  Result<Done> verify() const;

 private:
  Reader() = default;
  std::string path_;
  std::unique_ptr<Mapping> mapping_;
  std::vector<Section> sections_;
};

}  // namespace thaw::snapshot
