#include "base/faulty_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace thaw {
namespace {

namespace fs = std::filesystem;

class FaultyFilesTest : public testing::Test {
 protected:
  FaultyFilesTest() {
    std::string name = (fs::temp_directory_path() / "thaw-faulty-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/file";
    std::ofstream(path_, std::ios::binary) << "old";
  }
  ~FaultyFilesTest() override { fs::remove_all(directory_); }

  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // One call of each kind.
  Result<Done> use_everything(Files& files) const {
    THAW_TRY_DO(files.list(directory_));
    THAW_TRY_DO(files.stat(path_));
    THAW_TRY_DO(files.map(path_));
    THAW_TRY_DO(read_text(files, path_, 100));
    THAW_TRY(file, files.create(path_));
    THAW_TRY_DO(file->append(as_bytes("ne?")));
    THAW_TRY_DO(file->write_at(2, as_bytes("w")));
    return file->commit();
  }
  Result<Done> use_state_files(StateFiles& files) const {
    THAW_TRY_DO(files.make_directory(directory_ + "/a/b"));
    THAW_TRY_DO(files.lock(directory_ + "/a/lock"));
    THAW_TRY(log, files.append_to(directory_ + "/a/log"));
    THAW_TRY_DO(log->append(as_bytes("12")));
    THAW_TRY_DO(log->truncate(1));
    THAW_TRY_DO(log->sync());
    return files.remove(directory_ + "/a/log");
  }

  std::string directory_;
  std::string path_;
};

TEST_F(FaultyFilesTest, WithoutAFaultDoesAndCountsEverything) {
  FaultyFiles files(system_files(), {});
  ASSERT_TRUE(use_everything(files));
  EXPECT_EQ(contents(), "new");
  EXPECT_EQ(files.calls(), 9u);
  ASSERT_TRUE(use_state_files(files));
  EXPECT_EQ(files.calls(), 16u);
  for (std::size_t call = 0; call < kFileCallCount; ++call) {
    const auto kind = static_cast<FileCall>(call);
    EXPECT_EQ(files.calls(kind), kind == FileCall::kAppend ? 2u : 1u) << call;
  }
  EXPECT_FALSE(files.fault_happened());
}

TEST_F(FaultyFilesTest, FailsEachCallInTurnAndStopsWhenThereIsNone) {
  std::set<std::string> messages;
  std::uint64_t call = 1;
  for (;; ++call) {
    FaultyFiles files(system_files(), {.call = call, .only = {}});
    const auto result = use_everything(files);
    if (!files.fault_happened()) {
      EXPECT_TRUE(result);
      break;
    }
    ASSERT_FALSE(result) << call;
    EXPECT_EQ(result.error().code, Code::kIo);
    messages.insert(result.error().message);
    EXPECT_EQ(contents(), "old") << call;
    EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1) << call;
  }
  EXPECT_EQ(call, 10u);
  EXPECT_EQ(messages.size(), 8u);  // append and write_at share theirs
}

TEST_F(FaultyFilesTest, CountsOneKindAloneWhenAsked) {
  FaultyFiles files(system_files(), {.call = 2, .only = FileCall::kStat});
  EXPECT_TRUE(files.stat(path_));
  EXPECT_TRUE(files.map(path_));
  EXPECT_FALSE(files.stat(path_));
  EXPECT_TRUE(files.stat(path_));
}

TEST_F(FaultyFilesTest, AFaultCanStay) {
  FaultyFiles files(system_files(), {.call = 2, .only = FileCall::kStat, .stays = true});
  EXPECT_TRUE(files.stat(path_));
  EXPECT_FALSE(files.stat(path_));
  EXPECT_FALSE(files.stat(path_));
}

TEST_F(FaultyFilesTest, ATornCallDoesHalfItsWork) {
  FaultyFiles files(system_files(), {.call = 1, .only = FileCall::kAppend, .torn = true});
  const auto file = files.create(path_);
  ASSERT_TRUE(file);
  EXPECT_FALSE((*file)->append(as_bytes("123456")));
  EXPECT_EQ((*file)->size(), 3u);

  FaultyFiles reads(system_files(), {.call = 1, .only = FileCall::kRead, .torn = true});
  const auto read = reads.open(path_);
  ASSERT_TRUE(read);
  std::string text = "??";
  EXPECT_FALSE((*read)->read_at(0, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "o?");
}

TEST_F(FaultyFilesTest, AFullDiskTakesWhatFits) {
  FullDiskFiles files(system_files(), 5);
  const auto file = files.create(path_);
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->append(as_bytes("123")));
  const auto appended = (*file)->append(as_bytes("456"));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Code::kIo);
  EXPECT_EQ((*file)->size(), 5u);
  EXPECT_TRUE((*file)->write_at(0, as_bytes("x")));
}

}  // namespace
}  // namespace thaw
