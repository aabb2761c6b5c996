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

// Calls nothing, so that nothing below it is written to.
template <std::size_t kBytes>
[[gnu::noinline]] void wipe_below() {
  volatile std::uint64_t below[kBytes / sizeof(std::uint64_t)];
  for (volatile std::uint64_t& word : below) word = 0;
}

}  // namespace

void secure_wipe(std::span<std::byte> bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

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
  if (!is_given_back) return wipe_below<kWipedStackBytes>();
  wipe_below<3 * kNearBytes>();  // down to the first page that was given back
}

}  // namespace thaw
