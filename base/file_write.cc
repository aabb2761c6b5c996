#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/file.h"
#include "base/str.h"
#include "base/system_calls.h"

namespace thaw::internal {
namespace {

// How many temporary names are tried: earlier ones may be left over from a process that was killed
// and had the same id.
constexpr int kNamesTriedMax = 100;

// The directory that holds `path`, as open(2) wants it.
std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class SystemWriteFile final : public WriteFile {
 public:
  SystemWriteFile(const SystemCalls& calls, std::string path, std::string temporary, int descriptor)
      : calls_(calls),
        path_(std::move(path)),
        temporary_(std::move(temporary)),
        file_(calls, descriptor) {}

  ~SystemWriteFile() override {
    if (!renamed_) calls_.unlink(temporary_.c_str());
  }
  SystemWriteFile(const SystemWriteFile&) = delete;
  SystemWriteFile& operator=(const SystemWriteFile&) = delete;

  Result<Done> append(Bytes bytes) override {
    THAW_TRY_DO(write_all(size_, bytes));
    size_ += bytes.size();
    return Done{};
  }

  Result<Done> write_at(std::uint64_t offset, Bytes bytes) override {
    const auto end = checked_add(offset, bytes.size());
    if (!end || *end > size_) {
      failed_ = true;
      return fail(Code::kInvalid, cat("write '", path_, "': bytes ", offset, " + ", bytes.size(),
                                      " lie past the ", size_, " written so far"));
    }
    return write_all(offset, bytes);
  }

  std::uint64_t size() const override { return size_; }

  Result<std::unique_ptr<Mapping>> map() const override {
    if (failed_ || !file_.is_open()) return unusable("map");
    return map_open(calls_, file_, size_, path_);
  }

  Result<Done> commit() override {
    if (failed_ || !file_.is_open()) return unusable("commit");
    failed_ = true;  // unless all of what follows succeeds
    if (sync(file_) != 0) return system_error("sync", path_, errno);
    if (file_.close() != 0) return system_error("close", path_, errno);
    if (calls_.rename(temporary_.c_str(), path_.c_str()) != 0) {
      return system_error("rename to", path_, errno);
    }
    renamed_ = true;
    // The file is whole under its final name from here on; the directory's sync makes the name
    // itself outlast a power cut.
    const std::string directory = directory_of(path_);
    Descriptor open(calls_, open_retrying(calls_, directory, O_RDONLY | O_DIRECTORY));
    if (!open.is_open()) return system_error("open", directory, errno);
    // Some file systems (FUSE, network) cannot sync a directory, and say so by EINVAL.
    if (sync(open) != 0 && errno != EINVAL) return system_error("sync", directory, errno);
    return Done{};
  }

 private:
  Result<Done> write_all(std::uint64_t offset, Bytes bytes) {
    if (failed_ || !file_.is_open()) return unusable("write");
    while (!bytes.empty()) {
      const ssize_t put =
          calls_.pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        failed_ = true;
        return system_error("write", path_, put < 0 ? errno : ENOSPC);
      }
      offset += static_cast<std::uint64_t>(put);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return Done{};
  }

  Error unusable(std::string_view tried) const {
    return fail(Code::kIo,
                cat(tried, " '", path_, "': an earlier write failed, or it was already committed"));
  }

  int sync(const Descriptor& file) {
    int synced = 0;
    do {
      synced = calls_.fsync(file.number());
    } while (synced != 0 && errno == EINTR);
    return synced;
  }

  const SystemCalls& calls_;
  const std::string path_;
  const std::string temporary_;
  Descriptor file_;
  std::uint64_t size_ = 0;
  bool failed_ = false;  // a file with a hole must never get its final name
  bool renamed_ = false;
};

}  // namespace

Result<std::unique_ptr<WriteFile>> create_file(const SystemCalls& calls, const std::string& path) {
  // A link stays, and what it leads to is replaced. Anything but a regular file is refused: a
  // rename would put a file in the place of /dev/null or of a directory.
  std::string final_path = path;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) {
      return fail(Code::kIo, cat("create '", path, "': exists and is not a regular file"));
    }
    if (char* resolved = ::realpath(path.c_str(), nullptr)) {
      final_path = resolved;
      std::free(resolved);
    }
  }
  static std::atomic<unsigned> serial = 0;
  for (int tried = 0; tried < kNamesTriedMax; ++tried) {
    std::string temporary = cat(final_path, ".tmp-", ::getpid(), "-", serial.fetch_add(1));
    const int descriptor = open_retrying(calls, temporary, O_RDWR | O_CREAT | O_EXCL, mode_t{0666});
    if (descriptor >= 0) {
      return std::unique_ptr<WriteFile>(
          new SystemWriteFile(calls, std::move(final_path), std::move(temporary), descriptor));
    }
    if (errno != EEXIST) return system_error("create", path, errno);
  }
  return fail(Code::kIo, cat("create '", path, "': ", kNamesTriedMax,
                             " temporary names beside it are taken; remove ", path, ".tmp-*"));
}

}  // namespace thaw::internal
