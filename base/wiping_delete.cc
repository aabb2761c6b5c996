// The global operators new and delete of a program that answers callers: what is freed is wiped.
// Strings and vectors are copied, moved and grown all along an invocation's way, by libraries too;
// here is the one place that all of them come back to. Linked into programs, never into a library.
#include <malloc.h>

#include <cstdlib>
#include <new>

#include "base/wipe.h"

namespace {

// As the standard has it: the new-handler may find memory, else std::bad_alloc.
template <class Allocate>
void* allocate(Allocate try_once) {
  for (;;) {
    if (void* block = try_once()) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void wipe_and_free(void* block) noexcept {
  if (block == nullptr) return;
  thaw::secure_wipe({static_cast<std::byte*>(block), malloc_usable_size(block)});
  std::free(block);
}

}  // namespace

// The standard library's other forms (arrays, nothrow) call these.
void* operator new(std::size_t bytes) {
  return allocate([bytes] { return std::malloc(bytes == 0 ? 1 : bytes); });
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  const std::size_t whole = bytes == 0 ? align : (bytes + align - 1) / align * align;
  if (whole < bytes) throw std::bad_alloc();
  return allocate([=] { return std::aligned_alloc(align, whole); });
}
void operator delete(void* block) noexcept { wipe_and_free(block); }
void operator delete(void* block, std::size_t) noexcept { wipe_and_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { wipe_and_free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { wipe_and_free(block); }
