// Every system call under base/file.h made to fail, to be interrupted, or to do less than asked.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/system_calls.h"

namespace thaw {
namespace {

namespace fs = std::filesystem;
using internal::SystemCalls;

// What the calls below do next; plain globals, since a SystemCalls table holds bare functions.
struct Script {
  int calls = 0;                        // so far
  int fails_at = -1;                    // the call that fails, from 0
  int error = 0;                        // its errno
  std::size_t piece = ~std::size_t{0};  // at most so many bytes a read or write
  int interruptions = 0;                // so many times EINTR comes first
  std::string removed;                  // the last name unlinked
};
Script script;

bool fails_now() {
  if (script.calls++ != script.fails_at) return false;
  errno = script.error;
  return true;
}

bool interrupted() {
  if (script.interruptions == 0) return false;
  --script.interruptions;
  errno = EINTR;
  return true;
}

SystemCalls scripted() {
  SystemCalls calls;
  calls.open = [](const char* path, int flags, mode_t mode) {
    if (interrupted() || fails_now()) return -1;
    return ::open(path, flags, mode);
  };
  calls.close = [](int descriptor) {
    const int closed = ::close(descriptor);  // Linux closes it even when close() reports an error
    return fails_now() ? -1 : closed;
  };
  calls.fstat = [](int descriptor, struct stat* status) {
    return fails_now() ? -1 : ::fstat(descriptor, status);
  };
  calls.pread = [](int descriptor, void* to, std::size_t count, off_t offset) -> ssize_t {
    if (interrupted() || fails_now()) return -1;
    return ::pread(descriptor, to, std::min(count, script.piece), offset);
  };
  calls.pwrite = [](int descriptor, const void* from, std::size_t count, off_t offset) -> ssize_t {
    if (interrupted() || fails_now()) return -1;
    return ::pwrite(descriptor, from, std::min(count, script.piece), offset);
  };
  calls.fsync = [](int descriptor) {
    return interrupted() || fails_now() ? -1 : ::fsync(descriptor);
  };
  calls.rename = [](const char* from, const char* to) {
    return fails_now() ? -1 : ::rename(from, to);
  };
  calls.unlink = [](const char* path) {
    script.removed = path;
    return ::unlink(path);
  };
  calls.mmap = [](void* at, std::size_t bytes, int protection, int flags, int descriptor,
                  off_t offset) {
    return fails_now() ? MAP_FAILED : ::mmap(at, bytes, protection, flags, descriptor, offset);
  };
  return calls;
}

class FileFaultsTest : public testing::Test {
 protected:
  FileFaultsTest() {
    std::string name = (fs::temp_directory_path() / "thaw-faults-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/file";
    std::ofstream(path_, std::ios::binary) << "old contents";
    script = Script{};
    files_ = internal::files_over(calls_);
  }
  ~FileFaultsTest() override { fs::remove_all(directory_); }

  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files_left() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_), {}));
  }
  Result<Done> replace(std::string_view text) const {
    THAW_TRY(file, files_->create(path_));
    THAW_TRY_DO(file->append(as_bytes(text)));
    THAW_TRY_DO(file->write_at(0, as_bytes("N")));
    return file->commit();
  }

  const SystemCalls calls_ = scripted();
  std::unique_ptr<Files> files_;
  std::string directory_;
  std::string path_;
};

TEST_F(FileFaultsTest, ShortAndInterruptedReadsAreGoneOnWith) {
  script.piece = 5;
  script.interruptions = 3;
  EXPECT_EQ(*read_text(*files_, path_, 100), "old contents");
  EXPECT_EQ(script.interruptions, 0);
}

TEST_F(FileFaultsTest, ShortAndInterruptedWritesAreGoneOnWith) {
  script.piece = 3;
  script.interruptions = 5;
  const auto replaced = replace("new, longer contents");
  ASSERT_TRUE(replaced) << replaced.error().message;
  EXPECT_EQ(script.interruptions, 0);
  EXPECT_EQ(contents(), "New, longer contents");
}

TEST_F(FileFaultsTest, AFileCutShortWhileOpenIsAnErrorNotAHang) {
  const auto file = files_->open(path_);
  ASSERT_TRUE(file);
  fs::resize_file(path_, 4);
  std::string text(12, '?');
  const auto read = (*file)->read_at(0, std::as_writable_bytes(std::span(text)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kIo);
}

TEST_F(FileFaultsTest, EveryFailedCallOfAReadIsReported) {
  for (script.fails_at = 0;; ++script.fails_at) {
    script.calls = 0;
    script.error = EIO;
    const auto text = read_text(*files_, path_, 100);
    if (script.calls <= script.fails_at) break;  // there was no such call: all were tried
    if (text) {
      EXPECT_EQ(script.fails_at, script.calls - 1) << "only the last close of a read may fail";
      continue;
    }
    EXPECT_EQ(text.error().code, Code::kIo);
    EXPECT_NE(text.error().message.find(path_), std::string::npos) << text.error().message;
  }
  EXPECT_GE(script.fails_at, 4);  // open, fstat, pread, close
}

TEST_F(FileFaultsTest, EveryFailedCallOfAMapIsReported) {
  for (script.fails_at = 0; script.fails_at < 3; ++script.fails_at) {  // open, fstat, mmap
    script.calls = 0;
    script.error = ENOMEM;
    const auto mapping = files_->map(path_);
    ASSERT_FALSE(mapping) << script.fails_at;
    EXPECT_EQ(mapping.error().code, Code::kIo);
  }
}

TEST_F(FileFaultsTest, AReplacementIsWholeOrTheOldFileStaysWhateverFails) {
  int failures = 0;
  for (script.fails_at = 0;; ++script.fails_at) {
    std::ofstream(path_, std::ios::binary) << "old contents";
    script.calls = 0;
    script.error = ENOSPC;
    const auto replaced = replace("new contents");
    if (script.calls <= script.fails_at) break;
    EXPECT_EQ(files_left(), 1u) << "call " << script.fails_at;
    if (!replaced) {
      ++failures;
      EXPECT_EQ(replaced.error().code, Code::kIo);
    }
    // A failure after the rename (the directory's sync) leaves the new file, whole.
    const std::string now = contents();
    EXPECT_TRUE(now == "New contents" || (!replaced && now == "old contents"))
        << "call " << script.fails_at << ": " << now;
  }
  EXPECT_GE(failures, 8);  // create, two writes, sync, close, rename, open and sync of directory
}

TEST_F(FileFaultsTest, AWriterIsNoUseAfterAFailedWrite) {
  const auto file = files_->create(path_);
  ASSERT_TRUE(file);
  script.fails_at = script.calls;
  script.error = ENOSPC;
  const auto appended = (*file)->append(as_bytes("lost"));
  ASSERT_FALSE(appended);
  EXPECT_NE(appended.error().message.find("No space left"), std::string::npos);
  EXPECT_FALSE((*file)->append(as_bytes("more")));
  EXPECT_FALSE((*file)->commit());
  EXPECT_EQ(contents(), "old contents");
}

TEST_F(FileFaultsTest, ADirectoryThatCannotSyncIsNoFailure) {
  int syncs = 0;
  static int* counter;
  counter = &syncs;
  SystemCalls calls;
  calls.fsync = [](int) {
    if ((*counter)++ == 0) return 0;
    errno = EINVAL;
    return -1;
  };
  files_ = internal::files_over(calls);
  EXPECT_TRUE(replace("new"));
  EXPECT_EQ(syncs, 2);
  files_.reset();
}

TEST_F(FileFaultsTest, TemporaryNamesOfTheKilledAreSteppedOver) {
  script.fails_at = 0;
  script.error = EEXIST;
  EXPECT_TRUE(replace("new"));
  EXPECT_EQ(contents(), "New");
}

TEST_F(FileFaultsTest, GivesUpWhereEveryTemporaryNameIsTaken) {
  SystemCalls calls;
  calls.open = [](const char*, int, mode_t) {
    errno = EEXIST;
    return -1;
  };
  const auto file = internal::files_over(calls)->create(path_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kIo);
}

}  // namespace
}  // namespace thaw
