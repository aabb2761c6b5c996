#include "base/state_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/system_calls.h"

namespace thaw {
namespace {

namespace fs = std::filesystem;
using internal::SystemCalls;

// What the scripted calls do next; a plain global, since a SystemCalls table holds bare functions.
struct Script {
  int calls = 0;
  int fails_at = -1;
  int interruptions = 0;
  std::size_t piece = ~std::size_t{0};
};
Script script;

bool fails_now() {
  if (script.interruptions > 0) {
    --script.interruptions;
    errno = EINTR;
    return true;
  }
  if (script.calls++ != script.fails_at) return false;
  errno = ENOSPC;
  return true;
}

SystemCalls scripted() {
  SystemCalls calls;
  calls.pwrite = [](int descriptor, const void* from, std::size_t count, off_t offset) -> ssize_t {
    return fails_now() ? -1 : ::pwrite(descriptor, from, std::min(count, script.piece), offset);
  };
  calls.fsync = [](int descriptor) { return fails_now() ? -1 : ::fsync(descriptor); };
  calls.ftruncate = [](int descriptor, off_t bytes) {
    return fails_now() ? -1 : ::ftruncate(descriptor, bytes);
  };
  return calls;
}

class StateFilesTest : public testing::Test {
 protected:
  StateFilesTest() {
    std::string name = (fs::temp_directory_path() / "thaw-state-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/log";
    script = Script{};
  }
  ~StateFilesTest() override { fs::remove_all(directory_); }
  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string directory_, path_;
};

TEST_F(StateFilesTest, AppendsWhereAnEarlierOneEnded) {
  {
    auto log = *system_state_files().append_to(path_);
    EXPECT_EQ(log->size(), 0u);
    ASSERT_TRUE(log->append(as_bytes("one ")));
    ASSERT_TRUE(log->sync());
  }
  auto log = *system_state_files().append_to(path_);
  EXPECT_EQ(log->size(), 4u);
  ASSERT_TRUE(log->append(as_bytes("two three")));
  ASSERT_TRUE(log->truncate(7));
  ASSERT_TRUE(log->append(as_bytes("!")));
  EXPECT_EQ(contents(), "one two!");
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u) << "events are nobody else's business";
}

TEST_F(StateFilesTest, GoesOnAfterShortAndInterruptedCalls) {
  script.piece = 3;
  script.interruptions = 2;
  const auto files = internal::state_files_over(scripted());
  auto log = *files->append_to(path_);
  ASSERT_TRUE(log->append(as_bytes("in pieces")));
  script.interruptions = 2;
  ASSERT_TRUE(log->sync());
  script.interruptions = 2;
  ASSERT_TRUE(log->truncate(2));
  EXPECT_EQ(contents(), "in");
}

TEST_F(StateFilesTest, TakesBackWhatAFullDiskLeftHalfWritten) {
  script.piece = 3;
  script.fails_at = 2;
  const auto files = internal::state_files_over(scripted());
  auto log = *files->append_to(path_);
  const auto appended = log->append(as_bytes("in pieces"));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Code::kIo);
  EXPECT_NE(appended.error().message.find("No space left"), std::string::npos);
  EXPECT_EQ(log->size(), 6u);
  ASSERT_TRUE(log->truncate(0));
  EXPECT_EQ(contents(), "");
  for (int fails_at = 0; fails_at < 2; ++fails_at) {
    script = {.fails_at = fails_at};
    EXPECT_EQ(log->sync().has_value(), fails_at != 0);
    EXPECT_EQ(log->truncate(0).has_value(), fails_at != 1);
  }
}

TEST_F(StateFilesTest, LocksOnceAtATime) {
  auto lock = system_state_files().lock(path_);
  ASSERT_TRUE(lock);
  const auto second = system_state_files().lock(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  lock->reset();
  EXPECT_TRUE(system_state_files().lock(path_));
}

TEST_F(StateFilesTest, LocksOnceAForkedChildOfTheOneBeforeLetsGo) {
  auto lock = system_state_files().lock(path_);
  ASSERT_TRUE(lock);
  const pid_t child = ::fork();
  if (child == 0) {
    ::usleep(300'000);
    ::_exit(0);
  }
  lock->reset();  // as where the process was killed
  EXPECT_TRUE(system_state_files().lock(path_));
  ::waitpid(child, nullptr, 0);
}

TEST_F(StateFilesTest, MakesDirectoriesAndTheirParents) {
  ASSERT_TRUE(system_state_files().make_directory(directory_ + "/a/b/c"));
  ASSERT_TRUE(system_state_files().make_directory(directory_ + "/a/b/c/"));
  EXPECT_TRUE(fs::is_directory(directory_ + "/a/b/c"));
  std::ofstream(path_) << "x";
  EXPECT_FALSE(system_state_files().make_directory(path_));
  EXPECT_FALSE(system_state_files().make_directory(path_ + "/below"));
}

TEST_F(StateFilesTest, NamesWhatIsNotThere) {
  const std::string nowhere = directory_ + "/no/such";
  EXPECT_EQ(system_state_files().append_to(nowhere).error().code, Code::kNotFound);
  EXPECT_EQ(system_state_files().lock(nowhere).error().code, Code::kNotFound);
  EXPECT_EQ(system_state_files().remove(nowhere).error().code, Code::kNotFound);
  EXPECT_EQ(system_state_files().append_to(directory_).error().code, Code::kIo);
}

}  // namespace
}  // namespace thaw
