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

// How a file is now; what was mapped and what is there are compared by it.
struct FileState {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  // since the epoch
  bool operator==(const FileState&) const = default;
};

// A file's bytes, mapped read-only and shared with every other process that maps it. Thread-safe.
// A file that loses bytes while it is mapped ends the process (SIGBUS) unless main has installed
// the guard of bus_guard.h; then zeros take their place, and is_broken() tells. What is not pure
// here does what suits plain memory.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual Bytes bytes() const = 0;  // valid while this Mapping lives

  // Brings these bytes into memory, from the disk where they have to be, so that using them causes
  // no more page faults than it must. Precondition: they lie in bytes().
  // Errors: kIo: they cannot be read (any more).
  virtual Result<Done> populate(Bytes part) const;
  // Lets the disk begin to read these bytes into the page cache, and waits for nothing.
  virtual void will_need(Bytes part) const;
  // Whether a byte is in the page cache; false also where that cannot be known.
  virtual bool is_cached(std::uint64_t offset) const;
  // Puts memory of this process, in huge pages where there are any, in the place of a part, which
  // populate() fills from the disk past the page cache; its contents are undefined until then.
  // Precondition: it begins at a page. Errors: kUnavailable: no such memory; nothing has changed.
  virtual Result<Done> make_private(Bytes part);

  // Errors: kIo: the system does not say.
  virtual Result<FileState> state() const;
  virtual bool is_broken() const { return false; }
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
