#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

#include "base/bus_guard.h"
#include "base/file.h"
#include "base/str.h"
#include "base/system_calls.h"

// Older C libraries lack what Linux 5.14 has.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace thaw::internal {
namespace {

// Where a huge page of the page cache can be mapped as one: files from this size on lie at a
// multiple of it.
constexpr std::size_t kHugeBytes = 2u << 20;
constexpr std::size_t kPageBytes = 4096;
// What a direct read asks for at once: larger ones are no faster, and wait longer for each other.
constexpr std::size_t kReadBytes = 1u << 20;
// Reads into the page cache go by way of a buffer that stays in a core's cache.
constexpr std::size_t kThroughBytes = 128u << 10;

class SystemMapping final : public Mapping {
 public:
  SystemMapping(const SystemCalls& calls, std::string path, int descriptor)
      : calls_(calls), path_(std::move(path)), file_(calls, descriptor) {}
  ~SystemMapping() override {
    guard_.reset();  // first: what lies there next is not ours to guard
    if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
  }
  SystemMapping(const SystemMapping&) = delete;
  SystemMapping& operator=(const SystemMapping&) = delete;

  bool is_open() const { return file_.is_open(); }
  const Descriptor& file() const { return file_; }

  // The first `size` bytes of `file`, which need not be this object's own.
  Result<Done> map(const Descriptor& file, std::uint64_t size) {
    if (size == 0) return Done{};
    if (size > std::numeric_limits<std::size_t>::max() - kHugeBytes) {
      return system_error("map", path_, EFBIG);
    }
    void* at = nullptr;
    int flags = MAP_SHARED;
    if (size >= kHugeBytes) {
      // Address space alone, so that the file can begin where a huge page does.
      THAW_TRY_DO(reserve(size + kHugeBytes));
      const auto begin = reinterpret_cast<std::uintptr_t>(reserved_);
      at = reinterpret_cast<void*>(round_up(begin, kHugeBytes));
      flags |= MAP_FIXED;
    }
    void* mapped = calls_.mmap(at, size, PROT_READ, flags, file.number(), 0);
    if (mapped == MAP_FAILED) return system_error("map", path_, errno);
    if (reserved_ == nullptr) {
      reserved_ = mapped;
      reserved_bytes_ = size;
    }
    bytes_ = Bytes(static_cast<const std::byte*>(mapped), size);
    guard_ = std::make_unique<BusGuarded>(bytes_);
    // Asks for huge pages where the page cache has yet to be filled; older kernels have none.
    if (size >= kHugeBytes) (void)calls_.madvise(mapped, size, MADV_HUGEPAGE);
    return Done{};
  }

  Bytes bytes() const override { return bytes_; }

  Result<Done> populate(Bytes part) const override {
    const std::uint64_t begin = offset_of(part);
    const std::uint64_t end = begin + part.size();
    const std::uint64_t from = std::max(begin, private_begin_);
    const std::uint64_t to = std::min(end, private_end_);
    if (from >= to) return populate_mapped(begin, end);
    THAW_TRY_DO(populate_mapped(begin, from));
    THAW_TRY_DO(fill_private(from, to));
    return populate_mapped(to, end);
  }

  void will_need(Bytes part) const override {
    ::posix_fadvise(file_.number(), static_cast<off_t>(offset_of(part)),
                    static_cast<off_t>(part.size()), POSIX_FADV_WILLNEED);
  }

  bool is_cached(std::uint64_t offset) const override {
    std::byte byte{};
    iovec to{&byte, 1};
    return ::preadv2(file_.number(), &to, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
  }

  Result<Done> make_private(Bytes part) override {
    const std::uint64_t begin = offset_of(part);
    const std::uint64_t bytes = round_up(part.size(), kPageBytes);
    void* const at = const_cast<std::byte*>(part.data());
    // The buffered descriptor does where the file system knows no direct reads.
    direct_ = std::make_unique<Descriptor>(
        calls_, open_retrying(calls_, path_, O_RDONLY | O_NONBLOCK | O_DIRECT));
    void* const mapped =
        calls_.mmap(at, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
      return fail(Code::kUnavailable,
                  cat("map '", path_, "': no memory for ", bytes, " bytes of its own"));
    }
    (void)calls_.madvise(at, bytes, MADV_HUGEPAGE);
    private_begin_ = begin;
    private_end_ = begin + part.size();
    return Done{};
  }

  Result<FileState> state() const override {
    struct stat status {};
    if (calls_.fstat(file_.number(), &status) != 0) return system_error("stat", path_, errno);
    return FileState{static_cast<std::uint64_t>(status.st_size),
                     status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
  }

  bool is_broken() const override { return guard_ != nullptr && guard_->is_broken(); }

 private:
  Result<Done> reserve(std::size_t bytes) {
    void* const at =
        calls_.mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return system_error("map", path_, errno);
    reserved_ = at;
    reserved_bytes_ = bytes;
    return Done{};
  }

  std::uint64_t offset_of(Bytes part) const {
    return static_cast<std::uint64_t>(part.data() - bytes_.data());
  }

  Error lost(std::uint64_t begin, std::uint64_t end, int error) const {
    return fail(Code::kIo, cat("read '", path_, "': bytes ", begin, " to ", end, ": ",
                               std::generic_category().message(error),
                               "; the file was cut short, or its disk fails"));
  }

  Result<Done> populate_mapped(std::uint64_t begin, std::uint64_t end) const {
    if (begin >= end) return Done{};
    const std::uint64_t first = begin & ~std::uint64_t{kPageBytes - 1};
    void* const at = const_cast<std::byte*>(bytes_.data()) + first;
    for (;;) {
      if (calls_.madvise(at, end - first, MADV_POPULATE_READ) == 0) return Done{};
      if (errno == EINTR || errno == EAGAIN) continue;
      if (errno == EINVAL || errno == ENOSYS) return read_through(first, end);
      return lost(begin, end, errno);
    }
  }

  // Kernels before 5.14: a plain read fills the page cache as well, a copy at a time.
  Result<Done> read_through(std::uint64_t begin, std::uint64_t end) const {
    std::array<std::byte, kThroughBytes> nowhere;
    while (begin < end) {
      const std::size_t bytes = std::min<std::uint64_t>(nowhere.size(), end - begin);
      const ssize_t got =
          calls_.pread(file_.number(), nowhere.data(), bytes, static_cast<off_t>(begin));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return lost(begin, end, got < 0 ? errno : ENODATA);
      begin += static_cast<std::uint64_t>(got);
    }
    return Done{};
  }

  // Direct reads need whole blocks, in the file and in memory; both are whole pages here, past the
  // part's end too, where nobody looks.
  Result<Done> fill_private(std::uint64_t begin, std::uint64_t end) const {
    bool direct = direct_ != nullptr && direct_->is_open();
    std::uint64_t at = begin & ~std::uint64_t{kPageBytes - 1};
    while (at < end) {
      std::byte* const to = const_cast<std::byte*>(bytes_.data()) + at;
      const std::size_t bytes = std::min<std::uint64_t>(kReadBytes, round_up(end - at, kPageBytes));
      const int from = direct ? direct_->number() : file_.number();
      const ssize_t got = calls_.pread(from, to, bytes, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && direct && errno == EINVAL) {
        direct = false;
        continue;
      }
      if (got < 0) return lost(begin, end, errno);
      at += static_cast<std::uint64_t>(got);
      if (at >= end) break;
      if (got == 0) return lost(begin, end, ENODATA);
      if (at % kPageBytes != 0) direct = false;  // what follows an odd end cannot be read directly
    }
    return Done{};
  }

  const SystemCalls& calls_;
  const std::string path_;
  const Descriptor file_;
  std::unique_ptr<Descriptor> direct_;
  Bytes bytes_;
  void* reserved_ = nullptr;  // the addresses that bytes_ lies in
  std::size_t reserved_bytes_ = 0;
  std::uint64_t private_begin_ = 0;
  std::uint64_t private_end_ = 0;
  std::unique_ptr<BusGuarded> guard_;
};

}  // namespace

Result<std::unique_ptr<Mapping>> map_file(const SystemCalls& calls, const std::string& path) {
  // O_NONBLOCK: a pipe without a writer is to be refused, not waited for.
  auto mapping = std::make_unique<SystemMapping>(calls, path,
                                                 open_retrying(calls, path, O_RDONLY | O_NONBLOCK));
  if (!mapping->is_open()) return system_error("map", path, errno);
  THAW_TRY(size, regular_size(calls, mapping->file(), "map", path));
  THAW_TRY_DO(mapping->map(mapping->file(), size));
  return std::unique_ptr<Mapping>(std::move(mapping));
}

Result<std::unique_ptr<Mapping>> map_open(const SystemCalls& calls, const Descriptor& file,
                                          std::uint64_t bytes, const std::string& path) {
  auto mapping = std::make_unique<SystemMapping>(calls, path, -1);
  THAW_TRY_DO(mapping->map(file, bytes));
  return std::unique_ptr<Mapping>(std::move(mapping));
}

}  // namespace thaw::internal
