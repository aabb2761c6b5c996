#include "base/wipe.h"

#include <string.h>  // explicit_bzero
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace thaw {
namespace {

// Kept below the caller while the pages under it are given back: the call that does it has a frame
// there, too.
constexpr std::size_t kNearBytes = 8 << 10;

[[gnu::noinline]] void wipe_near() {
  std::byte below[3 * kNearBytes];
  secure_wipe(below);
}

[[gnu::noinline]] void wipe_all() {
  std::byte below[kWipedStackBytes];
  secure_wipe(below);
}

}  // namespace

void secure_wipe(std::span<std::byte> bytes) { explicit_bzero(bytes.data(), bytes.size()); }

[[gnu::noinline]] void wipe_stack() {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t end = (here - kNearBytes) & ~(page - 1);
  const std::uintptr_t begin = (here - kWipedStackBytes) & ~(page - 1);
  // Pages that were never touched cost nothing so, and a thread that has answered keeps none. Below
  // a main thread's stack nothing may be mapped yet: ENOMEM, with what is mapped given back.
  const bool is_given_back =
      page <= kNearBytes &&
      (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0 || errno == ENOMEM);
  if (!is_given_back) return wipe_all();
  wipe_near();  // down to the first page that was given back
}

}  // namespace thaw
