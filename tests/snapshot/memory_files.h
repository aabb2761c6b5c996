// A file system in memory for tests and fuzzers: files by path, no directories of their own. Each
// map is a copy of exactly the file's size, so that the address sanitizer sees every read past it,
// aligned to pages as a file's map is.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/str.h"

namespace thaw {

using Blob = std::vector<std::byte>;

// One thread at a time; lives as long as what it opened.
class MemoryFiles final : public Files {
 public:
  std::map<std::string, Blob> files;

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return absent("map", path);
    return std::unique_ptr<Mapping>(new Copy(found->second));
  }

  Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return absent("open", path);
    return std::unique_ptr<ReadFile>(new Reading(path, found->second));
  }

  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override {
    return std::unique_ptr<WriteFile>(new Writing(*this, path));
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
    std::vector<DirectoryEntry> entries;
    for (const auto& [path, bytes] : files) {
      if (path.starts_with(directory + "/")) {
        entries.push_back({path.substr(directory.size() + 1), false, bytes.size()});
      }
    }
    return entries;
  }

  Result<DirectoryEntry> stat(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end()) return absent("stat", path);
    return DirectoryEntry{path.substr(path.rfind('/') + 1), false, found->second.size()};
  }

 private:
  static Error absent(std::string_view tried, const std::string& path) {
    return fail(Code::kNotFound, cat(tried, " '", path, "': no such file"));
  }

  class Copy final : public Mapping {
   public:
    explicit Copy(const Blob& blob)
        : size_(blob.size()), bytes_(static_cast<std::byte*>(::operator new(size_, kPage))) {
      std::copy(blob.begin(), blob.end(), bytes_);
    }
    ~Copy() override { ::operator delete(bytes_, kPage); }
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;
    Bytes bytes() const override { return {bytes_, size_}; }

   private:
    static constexpr std::align_val_t kPage{4096};
    std::size_t size_;
    std::byte* bytes_;
  };

  class Reading final : public ReadFile {
   public:
    Reading(std::string path, const Blob& blob) : path_(std::move(path)), blob_(blob) {}
    std::uint64_t size() const override { return blob_.size(); }
    Result<Done> read_at(std::uint64_t offset, std::span<std::byte> to) const override {
      if (offset > blob_.size() || blob_.size() - offset < to.size()) {
        return fail(Code::kIo, cat("read '", path_, "': past the end"));
      }
      std::copy_n(blob_.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
      return Done{};
    }

   private:
    std::string path_;
    const Blob& blob_;
  };

  class Writing final : public WriteFile {
   public:
    Writing(MemoryFiles& files, std::string path) : files_(files), path_(std::move(path)) {}
    Result<Done> append(Bytes bytes) override {
      blob_.insert(blob_.end(), bytes.begin(), bytes.end());
      return Done{};
    }
    Result<Done> write_at(std::uint64_t offset, Bytes bytes) override {
      if (offset > blob_.size() || blob_.size() - offset < bytes.size()) {
        return fail(Code::kIo, cat("write '", path_, "': past the end"));
      }
      std::copy(bytes.begin(), bytes.end(), blob_.begin() + static_cast<std::ptrdiff_t>(offset));
      return Done{};
    }
    std::uint64_t size() const override { return blob_.size(); }
    Result<std::unique_ptr<Mapping>> map() const override {
      return std::unique_ptr<Mapping>(new Copy(blob_));
    }
    Result<Done> commit() override {
      files_.files[path_] = std::move(blob_);
      return Done{};
    }

   private:
    MemoryFiles& files_;
    std::string path_;
    Blob blob_;
  };
};

}  // namespace thaw
