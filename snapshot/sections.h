// Sections by type and name: those of a file (reader.h), or those that a writer has written so far.
#pragma once

#include <memory>
#include <span>
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

// Immutable. Views live as long as this object.
class Sections {
 public:
  virtual ~Sections() = default;
  Sections(const Sections&) = delete;
  Sections& operator=(const Sections&) = delete;

  // In the file's order.
  std::span<const Section> sections() const { return sections_; }
  // The first section of this type (and name, if not empty). Touching its bytes may fault pages in.
  // Errors: kNotFound.
  Result<Bytes> section(SectionType type, std::string_view name = {}) const;
  const std::string& path() const { return path_; }

 protected:
  Sections() = default;
  std::string path_;
  std::unique_ptr<Mapping> mapping_;
  std::vector<Section> sections_;
};

}  // namespace thaw::snapshot
