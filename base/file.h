// Files behind an interface, so that a test can make any system call fail, tear or cut short.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace thaw {

// A file's bytes, mapped read-only and shared with every other process that maps it. Immutable.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual Bytes bytes() const = 0;  // valid while this Mapping lives
};

// A file open for random reads. Thread-safe.
class ReadFile {
 public:
  virtual ~ReadFile() = default;
  virtual std::uint64_t size() const = 0;
  // Fills all of `to` from `offset`. Errors: kIo, also where the file ends before that.
  virtual Result<Done> read_at(std::uint64_t offset, std::span<std::byte> to) const = 0;
};

// A file being written under a temporary name beside its final one. Until commit() succeeds the
// final name is untouched; an object that is destroyed uncommitted removes its temporary file.
// One thread at a time.
class WriteFile {
 public:
  virtual ~WriteFile() = default;
  virtual Result<Done> append(Bytes bytes) = 0;
  // Overwrites bytes already appended (a header that is known last).
  virtual Result<Done> write_at(std::uint64_t offset, Bytes bytes) = 0;
  virtual std::uint64_t size() const = 0;
  // What has been appended so far, for reading back; it outlives this object. Errors: kIo.
  virtual Result<std::unique_ptr<Mapping>> map() const = 0;
  // Syncs the file, renames it to its final name, syncs the directory.
  virtual Result<Done> commit() = 0;
};

struct DirectoryEntry {
  std::string name;  // without the directory
  bool is_directory = false;
  std::uint64_t bytes = 0;
};

// Thread-safe. Every error is kNotFound (no such file or directory) or kIo, and names the path.
// Only regular files are mapped, opened and replaced; a link is followed.
class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::unique_ptr<Mapping>> map(const std::string& path) = 0;
  virtual Result<std::unique_ptr<ReadFile>> open(const std::string& path) = 0;
  virtual Result<std::unique_ptr<WriteFile>> create(const std::string& path) = 0;
  // Sorted by name. Errors: also kLimit, over a million entries.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& directory) = 0;
  virtual Result<DirectoryEntry> stat(const std::string& path) = 0;
};

// The machine's files. Stateless; lives as long as the program.
Files& system_files();

// A whole file that is expected to be small; kLimit where it is larger than `bytes_max`.
Result<std::string> read_text(Files& files, const std::string& path, std::uint64_t bytes_max);

}  // namespace thaw
