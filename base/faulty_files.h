// Files that fail on purpose. A test runs the same work over and over, failing call 1, 2, 3, ...
// until a run gets through, and so sees every failure that the work can meet:
//   for (std::uint64_t k = 1;; ++k) {
//     FaultyFiles files(system_files(), {.call = k});
//     const auto result = work(files);
//     if (!files.fault_happened()) break;   // result must have succeeded here
//     ...                                   // result must be an error, and nothing be damaged
//   }
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/state_files.h"

namespace thaw {

enum class FileCall : unsigned char {
  kMap,
  kOpen,
  kRead,
  kCreate,
  kAppend,
  kWriteAt,
  kCommit,
  kList,
  kStat,
  kAppendTo,
  kSync,
  kTruncate,
  kLock,
  kMakeDirectory,
  kRemove,
};
inline constexpr std::size_t kFileCallCount = 15;

// What fails, and how. The error's code is kIo and its message says "fault".
struct Fault {
  std::uint64_t call = 0;        // the how-manieth call, from 1; 0: none fails
  std::optional<FileCall> only;  // counted among calls of this kind; nothing: among all
  bool stays = false;            // every later such call fails as well: a disk that stays full
  bool torn = false;             // reads and writes do half their work before they fail
};

// Thread-safe. `files`, as `state_files`, outlives it and whatever it opened; so does this object.
class FaultyFiles final : public Files, public StateFiles {
 public:
  FaultyFiles(Files& files, Fault fault, StateFiles& state_files = system_state_files())
      : files_(files), state_files_(state_files), fault_(fault) {}

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open(const std::string& path) override;
  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override;
  Result<DirectoryEntry> stat(const std::string& path) override;
  Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override;
  Result<Done> make_directory(const std::string& path) override;
  Result<Done> remove(const std::string& path) override;

  std::uint64_t calls() const;               // all kinds
  std::uint64_t calls(FileCall call) const;  // of one kind
  bool fault_happened() const { return happened_.load(); }

  // Counts a call; true where it is to fail. For the files that this object opens.
  bool fails(FileCall call);
  const Fault& fault() const { return fault_; }

 private:
  Files& files_;
  StateFiles& state_files_;
  const Fault fault_;
  std::array<std::atomic<std::uint64_t>, kFileCallCount> counts_{};
  std::atomic<std::uint64_t> counted_{0};
  std::atomic<bool> happened_{false};
};

// Files on a disk that holds `file_bytes_max` bytes of each new file: an append past that fails as
// ENOSPC does, after the bytes that still fit. Thread-safe; lives as long as what it opened.
class FullDiskFiles final : public Files {
 public:
  FullDiskFiles(Files& files, std::uint64_t file_bytes_max)
      : files_(files), file_bytes_max_(file_bytes_max) {}

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    return files_.map(path);
  }
  Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
    return files_.open(path);
  }
  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
    return files_.list(directory);
  }
  Result<DirectoryEntry> stat(const std::string& path) override { return files_.stat(path); }

 private:
  Files& files_;
  const std::uint64_t file_bytes_max_;
};

}  // namespace thaw
