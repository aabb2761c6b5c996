#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/bus_guard.h"
#include "base/random.h"
#include "base/str.h"
#include "base/system_calls.h"
#include "base/thread_pool.h"

namespace thaw {
namespace {

constexpr std::size_t kMiB = 1u << 20;

class FileMap : public testing::Test {
 protected:
  void TearDown() override { ::unlink(path_.c_str()); }

  // A file of so many random bytes.
  Bytes write(std::size_t size) {
    Random random(11);
    contents_.resize(size);
    for (std::byte& byte : contents_) byte = static_cast<std::byte>(random.below(256));
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT_EQ(::write(file, contents_.data(), size), static_cast<ssize_t>(size));
    EXPECT_EQ(::fsync(file), 0);
    ::close(file);
    return contents_;
  }

  void cut_to(std::uint64_t size) {
    ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(size)), 0);
  }

  const std::string path_ = cat(testing::TempDir(), "thaw-map-", ::getpid());
  std::vector<std::byte> contents_;
};

TEST_F(FileMap, BringsInAnyPartOfSmallAndLargeFiles) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, 3 * kMiB, 5 * kMiB + 77}) {
    const Bytes wanted = write(size);
    const auto mapping = system_files().map(path_);
    ASSERT_TRUE(mapping) << mapping.error().message;
    const Bytes bytes = (*mapping)->bytes();
    Random random(size);
    for (int i = 0; i < 20; ++i) {
      const std::size_t begin = random.below(size);
      const std::size_t count = random.below(size - begin + 1);
      ASSERT_TRUE((*mapping)->populate(bytes.subspan(begin, count))) << begin << " " << count;
    }
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()));
    if (size >= 2 * kMiB) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % (2 * kMiB), 0u);
    }
  }
}

TEST_F(FileMap, PrivateBytesAreTheFilesWhereverTheyBeginAndEnd) {
  const Bytes wanted = write(6 * kMiB + 1234);
  for (const auto& [begin, count] : {std::pair{2 * kMiB, 2 * kMiB},
                                     {2 * kMiB, 4 * kMiB + 1234},
                                     {std::size_t{4096}, kMiB + 5}}) {
    const auto mapping = system_files().map(path_);
    ASSERT_TRUE(mapping) << mapping.error().message;
    const Bytes bytes = (*mapping)->bytes();
    ASSERT_TRUE((*mapping)->make_private(bytes.subspan(begin, count)));
    for (std::size_t at = 0; at < bytes.size(); at += 2 * kMiB) {
      const Bytes chunk = bytes.subspan(at, std::min(2 * kMiB, bytes.size() - at));
      const auto done = (*mapping)->populate(chunk);
      ASSERT_TRUE(done) << done.error().message;
    }
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end())) << begin;
  }
}

TEST_F(FileMap, WithoutPopulatingKernelsItReads) {
  const Bytes wanted = write(3 * kMiB + 5);
  internal::SystemCalls calls;
  calls.madvise = [](void*, std::size_t, int) {
    errno = EINVAL;
    return -1;
  };
  const auto files = internal::files_over(calls);
  const auto mapping = files->map(path_);
  ASSERT_TRUE(mapping);
  const Bytes bytes = (*mapping)->bytes();
  ASSERT_TRUE((*mapping)->populate(bytes));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()));
  cut_to(kMiB);
  const auto lost = (*mapping)->populate(bytes);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Code::kIo);
}

TEST_F(FileMap, WithoutDirectReadsItReadsThroughThePageCache) {
  const Bytes wanted = write(5 * kMiB);
  internal::SystemCalls calls;
  calls.open = [](const char* path, int flags, mode_t mode) {
    if ((flags & O_DIRECT) == 0) return ::open(path, flags, mode);
    errno = EINVAL;  // as tmpfs and 9p answer
    return -1;
  };
  const auto files = internal::files_over(calls);
  const auto mapping = files->map(path_);
  ASSERT_TRUE(mapping);
  const Bytes bytes = (*mapping)->bytes();
  ASSERT_TRUE((*mapping)->make_private(bytes.subspan(2 * kMiB)));
  ASSERT_TRUE((*mapping)->populate(bytes));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()));
}

#ifndef THAW_UNDER_QEMU  // qemu-user ignores madvise, and has no RWF_NOWAIT
TEST_F(FileMap, BytesThatAreGoneAreAnErrorInEveryWay) {
  for (const bool private_memory : {false, true}) {
    write(4 * kMiB);
    const auto mapping = system_files().map(path_);
    ASSERT_TRUE(mapping);
    const Bytes bytes = (*mapping)->bytes();
    if (private_memory) {
      ASSERT_TRUE((*mapping)->make_private(bytes.subspan(2 * kMiB)));
    }
    cut_to(3 * kMiB + 100);
    const auto lost = (*mapping)->populate(bytes.subspan(2 * kMiB));
    ASSERT_FALSE(lost) << private_memory;
    EXPECT_EQ(lost.error().code, Code::kIo);
    EXPECT_NE(lost.error().message.find(path_), std::string::npos);
  }
}

TEST_F(FileMap, TellsWhetherAPageIsCachedAndHowTheFileIsNow) {
  write(4 * kMiB);
  const auto mapping = system_files().map(path_);
  ASSERT_TRUE(mapping);
  EXPECT_TRUE((*mapping)->is_cached(2 * kMiB));
  EXPECT_FALSE((*mapping)->is_cached(4 * kMiB)) << "past the end";
  const auto before = (*mapping)->state();
  ASSERT_TRUE(before);
  EXPECT_EQ(before->bytes, 4 * kMiB);
  cut_to(kMiB);
  const auto after = (*mapping)->state();
  ASSERT_TRUE(after);
  EXPECT_EQ(after->bytes, kMiB);
  EXPECT_FALSE(*before == *after);
}
#endif

// In a child process, which the guard may let live or die.
int exit_of(const std::function<int()>& run) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(FileMap, TheGuardPutsZerosInThePlaceOfLostPages) {
  write(6 * kMiB);
  for (const std::uint64_t left : {std::uint64_t{0}, std::uint64_t{4096}, std::uint64_t{5000},
                                   std::uint64_t{2 * kMiB}, std::uint64_t{3 * kMiB + 17}}) {
    write(6 * kMiB);
    const int code = exit_of([&] {
      install_bus_guard();
      const auto mapping = system_files().map(path_);
      const Bytes bytes = (*mapping)->bytes();
      if (::truncate(path_.c_str(), static_cast<off_t>(left)) != 0) return 1;
      std::uint64_t wrong = 0;
      for (std::uint64_t at = 0; at < bytes.size(); at += 512) {
        if (bytes[at] != (at < left ? contents_[at] : std::byte{0})) ++wrong;
      }
      if (wrong != 0) return 2;
      return (*mapping)->is_broken() ? 0 : 3;
    });
    EXPECT_EQ(code, 0) << left;
  }
}

TEST_F(FileMap, TheGuardServesThePoolsWorkersToo) {
  write(4 * kMiB);
  const int code = exit_of([&] {
    install_bus_guard();
    const auto mapping = system_files().map(path_);
    const Bytes bytes = (*mapping)->bytes();
    ThreadPool pool(2);
    if (::truncate(path_.c_str(), 0) != 0) return 1;
    std::atomic<int> begun = 0;
    std::atomic<bool> by_a_worker = false, other_than_zero = false;
    pool.run(2, [&](std::size_t, unsigned thread) {
      ++begun;
      while (begun.load() < 2) std::this_thread::yield();  // so that each thread has one task
      if (thread == 0) return;
      by_a_worker = true;
      other_than_zero = bytes[kMiB] != std::byte{0};
    });
    if (!by_a_worker) return 2;
    return (*mapping)->is_broken() && !other_than_zero ? 0 : 3;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(FileMap, TheGuardLeavesOtherFaultsToEndTheProcess) {
  write(kMiB);
  const int code = exit_of([&] {
    install_bus_guard();
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    void* const at = ::mmap(nullptr, kMiB, PROT_READ, MAP_SHARED, file, 0);  // nobody guards this
    if (::truncate(path_.c_str(), 0) != 0) return 1;
    return static_cast<volatile const char*>(at)[kMiB / 2] == 0 ? 2 : 3;
  });
  EXPECT_EQ(code, 128 + SIGBUS);
}

}  // namespace
}  // namespace thaw
