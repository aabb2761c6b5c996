#include "base/faulty_files.h"

#include <algorithm>
#include <utility>

#include "base/str.h"

namespace thaw {
namespace {

Error injected(std::string_view tried, const std::string& path) {
  return fail(Code::kIo, cat(tried, " '", path, "': fault put in by a test"));
}

class FaultyReadFile final : public ReadFile {
 public:
  FaultyReadFile(FaultyFiles& files, std::string path, std::unique_ptr<ReadFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  std::uint64_t size() const override { return file_->size(); }

  Result<Done> read_at(std::uint64_t offset, std::span<std::byte> to) const override {
    if (!files_.fails(FileCall::kRead)) return file_->read_at(offset, to);
    if (files_.fault().torn) THAW_TRY_DO(file_->read_at(offset, to.first(to.size() / 2)));
    return injected("read", path_);
  }

 private:
  FaultyFiles& files_;
  const std::string path_;
  const std::unique_ptr<ReadFile> file_;
};

class FaultyWriteFile final : public WriteFile {
 public:
  FaultyWriteFile(FaultyFiles& files, std::string path, std::unique_ptr<WriteFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  Result<Done> append(Bytes bytes) override {
    if (!files_.fails(FileCall::kAppend)) return file_->append(bytes);
    if (files_.fault().torn) THAW_TRY_DO(file_->append(bytes.first(bytes.size() / 2)));
    return injected("write", path_);
  }

  Result<Done> write_at(std::uint64_t offset, Bytes bytes) override {
    if (!files_.fails(FileCall::kWriteAt)) return file_->write_at(offset, bytes);
    if (files_.fault().torn) THAW_TRY_DO(file_->write_at(offset, bytes.first(bytes.size() / 2)));
    return injected("write", path_);
  }

  std::uint64_t size() const override { return file_->size(); }

  Result<std::unique_ptr<Mapping>> map() const override {
    if (files_.fails(FileCall::kMap)) return injected("map", path_);
    return file_->map();
  }

  Result<Done> commit() override {
    if (files_.fails(FileCall::kCommit)) return injected("commit", path_);
    return file_->commit();
  }

 private:
  FaultyFiles& files_;
  const std::string path_;
  const std::unique_ptr<WriteFile> file_;
};

class FaultyAppendFile final : public AppendFile {
 public:
  FaultyAppendFile(FaultyFiles& files, std::string path, std::unique_ptr<AppendFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  std::uint64_t size() const override { return file_->size(); }
  Result<Done> append(Bytes bytes) override {
    if (!files_.fails(FileCall::kAppend)) return file_->append(bytes);
    if (files_.fault().torn) THAW_TRY_DO(file_->append(bytes.first(bytes.size() / 2)));
    return injected("append to", path_);
  }
  Result<Done> sync() override {
    if (files_.fails(FileCall::kSync)) return injected("sync", path_);
    return file_->sync();
  }
  Result<Done> truncate(std::uint64_t bytes) override {
    if (files_.fails(FileCall::kTruncate)) return injected("truncate", path_);
    return file_->truncate(bytes);
  }

 private:
  FaultyFiles& files_;
  const std::string path_;
  const std::unique_ptr<AppendFile> file_;
};

class FullDiskWriteFile final : public WriteFile {
 public:
  FullDiskWriteFile(std::string path, std::unique_ptr<WriteFile> file, std::uint64_t bytes_max)
      : path_(std::move(path)), file_(std::move(file)), bytes_max_(bytes_max) {}

  Result<Done> append(Bytes bytes) override {
    const std::uint64_t room = bytes_max_ - std::min(bytes_max_, file_->size());
    const auto fits = static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size()));
    THAW_TRY_DO(file_->append(bytes.first(fits)));
    if (fits == bytes.size()) return Done{};
    return fail(Code::kIo, cat("write '", path_, "': No space left on device"));
  }

  Result<Done> write_at(std::uint64_t offset, Bytes bytes) override {
    return file_->write_at(offset, bytes);
  }
  std::uint64_t size() const override { return file_->size(); }
  Result<std::unique_ptr<Mapping>> map() const override { return file_->map(); }
  Result<Done> commit() override { return file_->commit(); }

 private:
  const std::string path_;
  const std::unique_ptr<WriteFile> file_;
  const std::uint64_t bytes_max_;
};

}  // namespace

bool FaultyFiles::fails(FileCall call) {
  const std::uint64_t of_kind = counts_[static_cast<std::size_t>(call)].fetch_add(1) + 1;
  const std::uint64_t of_all = counted_.fetch_add(1) + 1;
  if (fault_.call == 0 || (fault_.only && *fault_.only != call)) return false;
  const std::uint64_t number = fault_.only ? of_kind : of_all;
  if (number != fault_.call && !(fault_.stays && number > fault_.call)) return false;
  happened_.store(true);
  return true;
}

std::uint64_t FaultyFiles::calls() const { return counted_.load(); }

std::uint64_t FaultyFiles::calls(FileCall call) const {
  return counts_[static_cast<std::size_t>(call)].load();
}

Result<std::unique_ptr<Mapping>> FaultyFiles::map(const std::string& path) {
  if (fails(FileCall::kMap)) return injected("map", path);
  return files_.map(path);
}

Result<std::unique_ptr<ReadFile>> FaultyFiles::open(const std::string& path) {
  if (fails(FileCall::kOpen)) return injected("open", path);
  THAW_TRY(file, files_.open(path));
  return std::unique_ptr<ReadFile>(new FaultyReadFile(*this, path, std::move(file)));
}

Result<std::unique_ptr<WriteFile>> FaultyFiles::create(const std::string& path) {
  if (fails(FileCall::kCreate)) return injected("create", path);
  THAW_TRY(file, files_.create(path));
  return std::unique_ptr<WriteFile>(new FaultyWriteFile(*this, path, std::move(file)));
}

Result<std::vector<DirectoryEntry>> FaultyFiles::list(const std::string& directory) {
  if (fails(FileCall::kList)) return injected("list", directory);
  return files_.list(directory);
}

Result<DirectoryEntry> FaultyFiles::stat(const std::string& path) {
  if (fails(FileCall::kStat)) return injected("stat", path);
  return files_.stat(path);
}

Result<std::unique_ptr<AppendFile>> FaultyFiles::append_to(const std::string& path) {
  if (fails(FileCall::kAppendTo)) return injected("append to", path);
  THAW_TRY(file, state_files_.append_to(path));
  return std::unique_ptr<AppendFile>(new FaultyAppendFile(*this, path, std::move(file)));
}

Result<std::unique_ptr<FileLock>> FaultyFiles::lock(const std::string& path) {
  if (fails(FileCall::kLock)) return injected("lock", path);
  return state_files_.lock(path);
}

Result<Done> FaultyFiles::make_directory(const std::string& path) {
  if (fails(FileCall::kMakeDirectory)) return injected("make directory", path);
  return state_files_.make_directory(path);
}

Result<Done> FaultyFiles::remove(const std::string& path) {
  if (fails(FileCall::kRemove)) return injected("remove", path);
  return state_files_.remove(path);
}

Result<std::unique_ptr<WriteFile>> FullDiskFiles::create(const std::string& path) {
  THAW_TRY(file, files_.create(path));
  return std::unique_ptr<WriteFile>(new FullDiskWriteFile(path, std::move(file), file_bytes_max_));
}

}  // namespace thaw
