// Opens a snapshot and lends out its sections. Section contents are opaque here: what a section
// means is its writer's business.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "snapshot/sections.h"

namespace thaw::snapshot {

// A snapshot file, mapped read-only. Thread-safe: all methods are const.
class Reader final : public Sections {
 public:
  // Maps `path` and checks its header and directory. Touches no section, so the cost does not grow
  // with the size of the model.
  // Errors: kNotFound     no such file
  //         kUnsupported  another format version, or a section with flags that this build lacks
  //         kCorrupt      bad magic, checksum, size, order, names or section bounds
  //         kIo           the map failed
  static Result<std::unique_ptr<Reader>> open(Files& files, const std::string& path);

  // The whole file, as mapped.
  Bytes bytes() const { return mapping_->bytes(); }
  Mapping& mapping() const { return *mapping_; }
  std::uint64_t file_bytes() const;
  std::uint16_t version_minor() const;

  // Reads every byte that open() did not: every granule's checksum, every padding byte. Errors:
  // kCorrupt, naming the granule and the section it lies in.
  Result<Done> verify() const;
  // What no checksum covers beside header and directory: the padding behind the checksums. Errors:
  // kCorrupt.
  Result<Done> check_end() const;
  // kCorrupt: what to say of a granule whose checksum was found to be `found`.
  Error granule_error(std::uint64_t granule, std::uint32_t found) const;

 private:
  Reader() = default;
};

}  // namespace thaw::snapshot
