#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

#include "base/str.h"
#include "base/system_calls.h"

namespace thaw {
namespace internal {

Error system_error(std::string_view tried, const std::string& path, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? Code::kNotFound : Code::kIo,
              cat(tried, " '", path, "': ", std::generic_category().message(error)));
}

int open_retrying(const SystemCalls& calls, const std::string& path, int flags, mode_t mode) {
  int descriptor = -1;
  do {
    descriptor = calls.open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

Result<std::uint64_t> regular_size(const SystemCalls& calls, const Descriptor& file,
                                   std::string_view tried, const std::string& path) {
  struct stat status {};
  if (calls.fstat(file.number(), &status) != 0) return system_error(tried, path, errno);
  if (!S_ISREG(status.st_mode)) {
    return fail(Code::kIo, cat(tried, " '", path, "': not a regular file"));
  }
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace internal

namespace {

using internal::Descriptor;
using internal::regular_size;
using internal::system_error;
using internal::SystemCalls;

// Bounds what a directory that somebody fills can make list() hold.
constexpr std::size_t kDirectoryEntriesMax = 1 << 20;

class SystemReadFile final : public ReadFile {
 public:
  SystemReadFile(const SystemCalls& calls, std::string path, int descriptor)
      : calls_(calls), path_(std::move(path)), file_(calls, descriptor) {}

  bool is_open() const { return file_.is_open(); }
  Result<Done> find_size() {
    THAW_TRY(size, regular_size(calls_, file_, "open", path_));
    size_ = size;
    return Done{};
  }

  std::uint64_t size() const override { return size_; }

  Result<Done> read_at(std::uint64_t offset, std::span<std::byte> to) const override {
    const auto end = checked_add(offset, to.size());
    if (!end || *end > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
      return ends_early(offset, to.size());
    }
    while (!to.empty()) {
      const ssize_t got =
          calls_.pread(file_.number(), to.data(), to.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("read", path_, errno);
      if (got == 0) return ends_early(offset, to.size());
      offset += static_cast<std::uint64_t>(got);
      to = to.subspan(static_cast<std::size_t>(got));
    }
    return Done{};
  }

 private:
  Error ends_early(std::uint64_t offset, std::size_t wanted) const {
    return fail(Code::kIo, cat("read '", path_, "': the file ends before byte ", offset, " + ",
                               wanted, "; it was cut short"));
  }

  const SystemCalls& calls_;
  std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

class SystemFiles final : public Files {
 public:
  explicit SystemFiles(const SystemCalls& calls) : calls_(calls) {}

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    return internal::map_file(calls_, path);
  }

  Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
    const int descriptor = internal::open_retrying(calls_, path, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) return system_error("open", path, errno);
    auto file = std::make_unique<SystemReadFile>(calls_, path, descriptor);
    THAW_TRY_DO(file->find_size());
    return std::unique_ptr<ReadFile>(std::move(file));
  }

  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override {
    return internal::create_file(calls_, path);
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& directory) override {
    const auto close = [](DIR* open) { ::closedir(open); };
    const std::unique_ptr<DIR, decltype(close)> open(::opendir(directory.c_str()), close);
    if (open == nullptr) return system_error("list", directory, errno);
    std::vector<DirectoryEntry> entries;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(open.get());
      if (entry == nullptr && errno != 0) return system_error("list", directory, errno);
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (entries.size() == kDirectoryEntriesMax) {
        return fail(Code::kLimit, cat("list '", directory, "': more than ", kDirectoryEntriesMax,
                                      " entries, the limit"));
      }
      auto found = stat(cat(directory, "/", name));
      // A file that went away meanwhile, or a dangling link, is as good as absent.
      if (!found && found.error().code == Code::kNotFound) continue;
      if (!found) return std::move(found).error();
      entries.push_back(*std::move(found));
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<DirectoryEntry> stat(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return system_error("stat", path, errno);
    std::string_view name = path;
    while (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
    name.remove_prefix(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1);
    const bool is_directory = S_ISDIR(status.st_mode);
    const auto bytes = is_directory ? 0 : static_cast<std::uint64_t>(status.st_size);
    return DirectoryEntry{std::string(name), is_directory, bytes};
  }

 private:
  const SystemCalls& calls_;
};

}  // namespace

Result<Done> Mapping::populate(Bytes) const { return Done{}; }
void Mapping::will_need(Bytes) const {}
bool Mapping::is_cached(std::uint64_t) const { return true; }
Result<Done> Mapping::make_private(Bytes) {
  return fail(Code::kUnavailable, "map: this is memory already");
}
Result<FileState> Mapping::state() const { return FileState{bytes().size(), 0}; }

std::unique_ptr<Files> internal::files_over(const SystemCalls& calls) {
  return std::make_unique<SystemFiles>(calls);
}

Files& system_files() {
  static const SystemCalls calls;
  static SystemFiles files(calls);
  return files;
}

Result<std::string> read_text(Files& files, const std::string& path, std::uint64_t bytes_max) {
  THAW_TRY(file, files.open(path));
  if (file->size() > bytes_max) {
    return fail(Code::kLimit,
                cat("read '", path, "': ", file->size(), " bytes, at most ", bytes_max, " wanted"));
  }
  std::string text(file->size(), '\0');
  THAW_TRY_DO(file->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace thaw
