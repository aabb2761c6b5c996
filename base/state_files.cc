#include "base/state_files.h"

#include <cerrno>
#include <chrono>

#include "base/clock.h"
#include "base/str.h"
#include "base/system_calls.h"

namespace thaw {
namespace internal {
namespace {

constexpr mode_t kOwnerFile = 0600;
constexpr mode_t kOwnerDirectory = 0700;

class SystemAppendFile final : public AppendFile {
 public:
  SystemAppendFile(const SystemCalls& calls, std::string path, int descriptor)
      : calls_(calls), path_(std::move(path)), file_(calls, descriptor) {}

  Result<Done> find_size() {
    THAW_TRY(size, regular_size(calls_, file_, "append to", path_));
    size_ = size;
    return Done{};
  }
  std::uint64_t size() const override { return size_; }

  Result<Done> append(Bytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t put =
          calls_.pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return system_error("append to", path_, put < 0 ? errno : ENOSPC);
      size_ += static_cast<std::uint64_t>(put);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return Done{};
  }

  Result<Done> sync() override {
    int synced = 0;
    do {
      synced = calls_.fsync(file_.number());
    } while (synced != 0 && errno == EINTR);
    if (synced != 0) return system_error("sync", path_, errno);
    return Done{};
  }

  Result<Done> truncate(std::uint64_t bytes) override {
    int cut = 0;
    do {
      cut = calls_.ftruncate(file_.number(), static_cast<off_t>(bytes));
    } while (cut != 0 && errno == EINTR);
    if (cut != 0) return system_error("truncate", path_, errno);
    size_ = bytes;
    return Done{};
  }

 private:
  const SystemCalls& calls_;
  const std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

// How long a lock is waited for: one of a process that was killed is held on by children that it
// had just forked, until they exec.
constexpr std::chrono::milliseconds kLockPatience{2'000};
constexpr std::chrono::milliseconds kLockLook{10};

class SystemFileLock final : public FileLock {
 public:
  SystemFileLock(const SystemCalls& calls, int descriptor) : file_(calls, descriptor) {}

 private:
  Descriptor file_;
};

class SystemStateFiles final : public StateFiles {
 public:
  explicit SystemStateFiles(const SystemCalls& calls) : calls_(calls) {}

  Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) override {
    const int descriptor = open_retrying(calls_, path, O_WRONLY | O_CREAT | O_NONBLOCK, kOwnerFile);
    if (descriptor < 0) return system_error("append to", path, errno);
    auto file = std::make_unique<SystemAppendFile>(calls_, path, descriptor);
    THAW_TRY_DO(file->find_size());
    return std::unique_ptr<AppendFile>(std::move(file));
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    const int descriptor = open_retrying(calls_, path, O_RDWR | O_CREAT | O_NONBLOCK, kOwnerFile);
    if (descriptor < 0) return system_error("lock", path, errno);
    auto lock = std::make_unique<SystemFileLock>(calls_, descriptor);
    Clock& clock = system_clock();
    const Clock::Monotonic until = clock.now() + kLockPatience;
    while (calls_.flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return system_error("lock", path, errno);
      if (clock.now() >= until) {
        return fail(Code::kUnavailable, cat("lock '", path, "': another process holds it"));
      }
      clock.sleep_until(clock.now() + kLockLook);
    }
    return std::unique_ptr<FileLock>(std::move(lock));
  }

  Result<Done> make_directory(const std::string& path) override {
    for (std::size_t end = 1; end <= path.size(); ++end) {
      if (end != path.size() && path[end] != '/') continue;
      const std::string part = path.substr(0, end);
      if (calls_.mkdir(part.c_str(), kOwnerDirectory) == 0) continue;
      // One above may be a link, or may refuse to be written, and still be there.
      const int error = errno;
      struct stat status {};
      if (::stat(part.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) continue;
      return system_error("make directory", part, error);
    }
    return Done{};
  }

  Result<Done> remove(const std::string& path) override {
    if (calls_.unlink(path.c_str()) != 0) return system_error("remove", path, errno);
    return Done{};
  }

 private:
  const SystemCalls calls_;
};

}  // namespace

std::unique_ptr<StateFiles> state_files_over(const SystemCalls& calls) {
  return std::make_unique<SystemStateFiles>(calls);
}

}  // namespace internal

StateFiles& system_state_files() {
  static const std::unique_ptr<StateFiles> files = internal::state_files_over({});
  return *files;
}

}  // namespace thaw
