// This program is linked with wiping_delete.cc, as the two real ones are.
#include "base/wipe.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// A sanitizer's malloc, too, says that it has no memory as the system's does.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace thaw {
namespace {

// A byte that no variable owns any more: neither the compiler nor a sanitizer may have a say.
[[gnu::noinline]] [[gnu::no_sanitize_address]] [[gnu::no_sanitize_thread]] char peek(
    std::uintptr_t address) {
  return *reinterpret_cast<volatile const char*>(address);
}

constexpr char kMark = '\x5A';

std::size_t marks(std::uintptr_t address, std::size_t bytes) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < bytes; ++i) count += peek(address + i) == kMark ? 1 : 0;
  return count;
}

// Leaves kilobytes of marks on its stack and returns where they begin.
[[gnu::noinline]] std::uintptr_t leave_marks(std::size_t depth) {
  volatile char here[1024];
  for (volatile char& byte : here) byte = kMark;
  std::uintptr_t at = 0;
  asm volatile("" : "=r"(at) : "0"(here));  // no compiler follows a dead variable through this
  if (depth <= 1) return at;
  const std::uintptr_t deepest = leave_marks(depth - 1);
  return here[0] == kMark ? deepest : 0;  // not a tail call: this frame stays
}

TEST(Wipe, LeavesZeros) {
  std::array<std::byte, 100> bytes;
  bytes.fill(std::byte{kMark});
  secure_wipe(bytes);
  EXPECT_EQ(bytes, (std::array<std::byte, 100>{}));
  secure_wipe({});
}

TEST(Wipe, ReachesWhatCallsLeftOnTheStack) {
  constexpr std::size_t kBytes = 1024 - 128;  // wipe_stack() has a frame of its own above the rest
  for (const std::size_t depth : {1u, 20u, 300u}) {
    const std::uintptr_t at = leave_marks(depth);
    // What runs in between writes over some of it at most.
    ASSERT_GT(marks(at, kBytes), 700u) << depth;
    wipe_stack();
    EXPECT_EQ(marks(at, kBytes), 0u) << depth;
  }
}

// How much of the stack below the caller takes memory.
[[gnu::noinline]] std::size_t resident_bytes_below() {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) & ~(page - 1);
  std::array<unsigned char, kWipedStackBytes / 4096> is_there{};
  const std::size_t pages = kWipedStackBytes / page;
  EXPECT_EQ(mincore(reinterpret_cast<void*>(here - pages * page), pages * page, is_there.data()),
            0);
  std::size_t bytes = 0;
  for (const unsigned char each : is_there) bytes += (each & 1) != 0 ? page : 0;
  return bytes;
}

TEST(Wipe, LeavesAThreadWithHardlyAnyStack) {
  std::thread([] {
    EXPECT_NE(leave_marks(300), 0u);
    EXPECT_GT(resident_bytes_below(), 250u << 10);
    wipe_stack();
    EXPECT_LT(resident_bytes_below(), 100u << 10);
    EXPECT_NE(leave_marks(300), 0u);  // and can use it again
  }).join();
}

// The allocator's own links lie in the first bytes of a free block.
constexpr std::size_t kLinks = 32;

std::uintptr_t address_of(const void* object) { return reinterpret_cast<std::uintptr_t>(object); }

void expect_wiped(std::uintptr_t freed, std::size_t bytes, const char* what) {
  EXPECT_EQ(marks(freed + kLinks, bytes - kLinks), 0u) << what;
}

TEST(Wipe, IsDoneByEveryDelete) {
  for (const std::size_t bytes : {100u, 5000u}) {
    auto* grown = new std::string(bytes, kMark);
    std::uintptr_t at = address_of(grown->data());
    ASSERT_EQ(marks(at, bytes), bytes);
    grown->reserve(10 * bytes);
    expect_wiped(at, bytes, "a string that grew");
    at = address_of(grown->data());
    delete grown;
    expect_wiped(at, bytes, "a string");

    auto array = std::make_unique<char[]>(bytes);
    std::fill_n(array.get(), bytes, kMark);
    at = address_of(array.get());
    array.reset();
    expect_wiped(at, bytes, "an array");
  }
  struct alignas(64) Line {
    std::array<char, 256> bytes;
  };
  auto line = std::make_unique<Line>();
  line->bytes.fill(kMark);
  const std::uintptr_t at = address_of(line.get());
  EXPECT_EQ(at % 64, 0u);
  line.reset();
  expect_wiped(at, sizeof(Line), "an aligned object");
}

TEST(Wipe, LeavesNewAsTheStandardHasIt) {
  constexpr std::size_t kTooMany = static_cast<std::size_t>(-1) / 2;
  volatile std::size_t bytes = kTooMany;  // not for the compiler to judge
  EXPECT_THROW(::operator delete(::operator new(bytes)), std::bad_alloc);
  EXPECT_THROW(
      ::operator delete (::operator new (bytes, std::align_val_t{64}), std::align_val_t{64}),
      std::bad_alloc);
  EXPECT_EQ(::operator new(bytes, std::nothrow), nullptr);
  EXPECT_EQ(::operator new[](bytes, std::nothrow), nullptr);
  EXPECT_EQ(::operator new (bytes, std::align_val_t{64}, std::nothrow), nullptr);
  bytes = static_cast<std::size_t>(-1) - 8;  // not even its round size can be told
  EXPECT_EQ(::operator new (bytes, std::align_val_t{64}, std::nothrow), nullptr);
  bytes = 0;
  void* empty = ::operator new(bytes);
  EXPECT_NE(empty, nullptr);
  ::operator delete(empty);
}

}  // namespace
}  // namespace thaw
