// What the tests of the container share: a small snapshot, and verbs to damage it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "memory_files.h"
#include "mend.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"

namespace thaw::snapshot {

struct Given {
  SectionType type{};
  std::string name;
  Blob bytes;
};

inline Blob blob(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

inline Blob random_blob(Random& random, std::size_t size) {
  Blob bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

// The snapshot of these sections, each appended in one piece.
inline Blob write(const std::vector<Given>& sections) {
  MemoryFiles files;
  auto writer = Writer::create(files, "s");
  EXPECT_TRUE(writer);
  for (const Given& given : sections) {
    const auto added = (*writer)->add(given.type, given.name, given.bytes);
    EXPECT_TRUE(added) << added.error().message;
  }
  const auto finished = (*writer)->finish();
  EXPECT_TRUE(finished) << finished.error().message;
  return files.files["s"];
}

// Opens `file`; also verifies it, where it opens and `then_verify` says so.
inline Result<Done> check(const Blob& file, bool then_verify = true) {
  MemoryFiles files;
  files.files["s"] = file;
  THAW_TRY(reader, Reader::open(files, "s"));
  return then_verify ? reader->verify() : Result<Done>(Done{});
}

// A snapshot of a manifest and two prefixes, and its header and directory to change.
class Small {
 public:
  Small()
      : file(write({{SectionType::kManifest, "", blob("{\"task\":\"chat\"}")},
                    {SectionType::kPrefix, "a", Blob(5000, std::byte{7})},
                    {SectionType::kPrefix, "b", Blob(100, std::byte{9})}})) {}

  Header& header() { return *reinterpret_cast<Header*>(file.data()); }
  DirectoryEntry& entry(std::size_t index) {
    return reinterpret_cast<DirectoryEntry*>(file.data() + header().directory_offset)[index];
  }
  // What open (and verify, where it opens) says once the checksums are put right again.
  Result<Done> check_mended(bool then_verify = false) {
    mend(file);
    return check(file, then_verify);
  }

  Blob file;
};

}  // namespace thaw::snapshot
