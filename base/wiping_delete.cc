// The global operators new and delete of a program that answers callers: what is freed is wiped.
// Strings and vectors are copied, moved and grown all along an invocation's way, by libraries too;
// here is the one place that all of them come back to. Linked into programs, never into a library.
//
// Every form is here: sanitizers bring forms of their own, which don't call the plain ones.
#include <malloc.h>

#include <cstdlib>
#include <new>

#include "base/wipe.h"

namespace {

using Size = std::size_t;
using Align = std::align_val_t;
using Nothrow = std::nothrow_t;

// As the standard has it: the new-handler may find memory, or throws; null where there is none.
template <class Allocate>
void* allocate(Allocate try_once) {
  for (;;) {
    if (void* block = try_once()) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) return nullptr;
    handler();
  }
}

void* allocate_plain(Size bytes) {
  return allocate([bytes] { return std::malloc(bytes == 0 ? 1 : bytes); });
}

void* allocate_aligned(Size bytes, Align alignment) {
  const auto align = static_cast<Size>(alignment);
  const Size whole = bytes == 0 ? align : (bytes + align - 1) / align * align;
  if (whole < bytes) return nullptr;
  return allocate([=] { return std::aligned_alloc(align, whole); });
}

void* or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

template <class Allocate>
void* or_null(Allocate allocate) noexcept {
  try {
    return allocate();
  } catch (...) {  // a new-handler's
    return nullptr;
  }
}

void wipe_and_free(void* block) noexcept {
  if (block == nullptr) return;
  thaw::secure_wipe({static_cast<std::byte*>(block), malloc_usable_size(block)});
  std::free(block);
}

}  // namespace

void* operator new(Size n) { return or_throw(allocate_plain(n)); }
void* operator new[](Size n) { return or_throw(allocate_plain(n)); }
void* operator new(Size n, Align a) { return or_throw(allocate_aligned(n, a)); }
void* operator new[](Size n, Align a) { return or_throw(allocate_aligned(n, a)); }
void* operator new(Size n, const Nothrow&) noexcept {
  return or_null([=] { return allocate_plain(n); });
}
void* operator new[](Size n, const Nothrow&) noexcept {
  return or_null([=] { return allocate_plain(n); });
}
void* operator new(Size n, Align a, const Nothrow&) noexcept {
  return or_null([=] { return allocate_aligned(n, a); });
}
void* operator new[](Size n, Align a, const Nothrow&) noexcept {
  return or_null([=] { return allocate_aligned(n, a); });
}

void operator delete(void* p) noexcept { wipe_and_free(p); }
void operator delete[](void* p) noexcept { wipe_and_free(p); }
void operator delete(void* p, Size) noexcept { wipe_and_free(p); }
void operator delete[](void* p, Size) noexcept { wipe_and_free(p); }
void operator delete(void* p, Align) noexcept { wipe_and_free(p); }
void operator delete[](void* p, Align) noexcept { wipe_and_free(p); }
void operator delete(void* p, Size, Align) noexcept { wipe_and_free(p); }
void operator delete[](void* p, Size, Align) noexcept { wipe_and_free(p); }
void operator delete(void* p, const Nothrow&) noexcept { wipe_and_free(p); }
void operator delete[](void* p, const Nothrow&) noexcept { wipe_and_free(p); }
void operator delete(void* p, Align, const Nothrow&) noexcept { wipe_and_free(p); }
void operator delete[](void* p, Align, const Nothrow&) noexcept { wipe_and_free(p); }
