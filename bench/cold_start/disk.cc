// What of a file is in the page cache, and how fast the disk is: the best of several ways to read
// it, each from a dropped page cache.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/str.h"
#include "bench/cold_start/launch.h"

namespace thaw::cold_start {
namespace {

constexpr std::uint64_t kPiece = 1u << 20;

// Reads pieces with so many threads; whether all came.
bool read_pieces(int file, std::uint64_t bytes, int threads) {
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> good{true};
  const auto work = [&] {
    const std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(4096, kPiece),
                                                             std::free);
    for (;;) {
      const std::uint64_t at = next.fetch_add(kPiece);
      if (at >= bytes) return;
      if (::pread(file, buffer.get(), kPiece, static_cast<off_t>(at)) <= 0) good = false;
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  return good;
}

Result<int> open_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file >= 0) return file;
  return fail(Code::kIo, cat("open '", path, "': ", std::strerror(errno)));
}

// Reads all of it in order, so much at a time.
Result<Done> read_through(const std::string& path, std::size_t piece, int advice) {
  THAW_TRY(file, open_file(path));
  ::posix_fadvise(file, 0, 0, advice);
  std::vector<char> part(piece);
  ssize_t got = 1;
  while (got > 0) got = ::read(file, part.data(), part.size());
  ::close(file);
  if (got == 0) return Done{};
  return fail(Code::kIo, cat("read '", path, "': ", std::strerror(errno)));
}

bool populate(const std::string& path) {
  const auto mapping = system_files().map(path);
  return mapping && (*mapping)->populate((*mapping)->bytes());
}

}  // namespace

Result<Done> drop_cached(const std::string& path) {
  THAW_TRY(file, open_file(path));
  ::fdatasync(file);
  const int error = ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
  if (error == 0) return Done{};
  return fail(Code::kIo, cat("drop '", path, "' from the page cache: ", std::strerror(error)));
}

Result<Done> warm(const std::string& path) { return read_through(path, kPiece, POSIX_FADV_NORMAL); }

Result<Done> warm_by_small_pages(const std::string& path) {
  THAW_TRY_DO(drop_cached(path));
  return read_through(path, 4096, POSIX_FADV_RANDOM);
}

Result<double> disk_bytes_per_second(const std::string& path) {
  THAW_TRY(found, system_files().stat(path));
  double best = 0;
  const auto attempt = [&](const std::function<bool()>& read) -> Result<Done> {
    THAW_TRY_DO(drop_cached(path));
    const std::int64_t begin = now_ns();
    const bool good = read();
    const double seconds = static_cast<double>(now_ns() - begin) / 1e9;
    if (good) best = std::max(best, static_cast<double>(found.bytes) / seconds);
    return Done{};
  };
  for (const int threads : {1, 2, 4}) {
    for (const int flags : {O_DIRECT, 0}) {
      const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
      if (file < 0) continue;  // no direct reads here
      const auto done = attempt([&] { return read_pieces(file, found.bytes, threads); });
      ::close(file);
      if (!done) return done.error();
    }
  }
  THAW_TRY_DO(attempt([&] { return populate(path); }));
  return best;
}

}  // namespace thaw::cold_start
