#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "base/str.h"

namespace thaw {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = (fs::temp_directory_path() / "thaw-file-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~FileTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string contents(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      found.push_back(entry.path().filename().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  Files& files_ = system_files();
  std::string directory_;
};

TEST_F(FileTest, MapsWhatTheFileHolds) {
  std::string text(100'000, '\0');
  Random random(1);
  for (char& c : text) c = static_cast<char>(random.below(256));
  const auto mapping = files_.map(put("a", text));
  ASSERT_TRUE(mapping) << mapping.error().message;
  EXPECT_EQ(as_text((*mapping)->bytes()), text);
}

TEST_F(FileTest, AnEmptyFileMapsToNoBytes) {
  const auto mapping = files_.map(put("empty", ""));
  ASSERT_TRUE(mapping) << mapping.error().message;
  EXPECT_TRUE((*mapping)->bytes().empty());
}

TEST_F(FileTest, ReadsAnyPieceAndNothingPastTheEnd) {
  const auto file = files_.open(put("digits", "0123456789"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->size(), 10u);
  for (std::size_t offset = 0; offset <= 12; ++offset) {
    for (std::size_t length = 0; length <= 12; ++length) {
      std::string piece(length, '?');
      const auto read = (*file)->read_at(offset, std::as_writable_bytes(std::span(piece)));
      if (length == 0 || offset + length <= 10) {
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(piece,
                  std::string("0123456789").substr(std::min<std::size_t>(offset, 10), length));
      } else {
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, Code::kIo);
      }
    }
  }
  std::byte one;
  const auto read = (*file)->read_at(~std::uint64_t{0}, {&one, 1});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kIo);
}

TEST_F(FileTest, WhatIsNotThereIsNotFoundAndNamed) {
  const std::string missing = path("missing");
  const auto expect_not_found = [&](const auto& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kNotFound);
    EXPECT_NE(result.error().message.find(missing), std::string::npos) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  };
  expect_not_found(files_.map(missing));
  expect_not_found(files_.open(missing));
  expect_not_found(files_.list(missing));
  expect_not_found(files_.stat(missing));
  expect_not_found(files_.create(missing + "/file"));
  expect_not_found(read_text(files_, missing, 10));
  put("plain", "x");
  EXPECT_EQ(files_.open(path("plain") + "/under").error().code, Code::kNotFound);
}

TEST_F(FileTest, OnlyRegularFilesAreMappedOpenedAndReplaced) {
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string null = "/dev/null";
  for (const std::string& odd : {directory_, pipe, null}) {
    EXPECT_EQ(files_.map(odd).error().code, Code::kIo) << odd;
    EXPECT_EQ(files_.open(odd).error().code, Code::kIo) << odd;
    EXPECT_EQ(files_.create(odd).error().code, Code::kIo) << odd;
  }
  EXPECT_TRUE(fs::is_character_file(null));
}

TEST_F(FileTest, AWrittenFileAppearsOnlyWhenCommitted) {
  const auto file = files_.create(path("new"));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE((*file)->append(as_bytes("????")));
  ASSERT_TRUE((*file)->append(as_bytes("body")));
  ASSERT_TRUE((*file)->write_at(0, as_bytes("head")));
  EXPECT_EQ((*file)->size(), 8u);
  EXPECT_FALSE(fs::exists(path("new")));
  ASSERT_EQ(names().size(), 1u);
  EXPECT_EQ(names()[0].rfind(cat("new.tmp-", ::getpid(), "-"), 0), 0u) << names()[0];
  const auto committed = (*file)->commit();
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(contents("new"), "headbody");
  EXPECT_EQ(names(), std::vector<std::string>{"new"});
}

TEST_F(FileTest, AnUncommittedFileLeavesTheOldOneAndNothingElse) {
  put("kept", "old");
  {
    const auto file = files_.create(path("kept"));
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append(as_bytes("new")));
  }
  EXPECT_EQ(contents("kept"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
}

TEST_F(FileTest, CommitReplacesAndAMappingOfTheOldFileStays) {
  const auto old = files_.map(put("model", "old bytes"));
  ASSERT_TRUE(old);
  const auto file = files_.create(path("model"));
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->append(as_bytes("new")));
  ASSERT_TRUE((*file)->commit());
  EXPECT_EQ(contents("model"), "new");
  EXPECT_EQ(as_text((*old)->bytes()), "old bytes");
}

TEST_F(FileTest, ALinkStaysAndWhatItLeadsToIsReplaced) {
  put("target", "old");
  fs::create_symlink("target", path("link"));
  const auto file = files_.create(path("link"));
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->append(as_bytes("new")));
  ASSERT_TRUE((*file)->commit());
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(contents("target"), "new");
}

TEST_F(FileTest, WritingPastTheEndOrAfterCommitIsRefused) {
  const auto file = files_.create(path("f"));
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->append(as_bytes("abc")));
  EXPECT_EQ((*file)->write_at(1, as_bytes("xyz")).error().code, Code::kInvalid);
  EXPECT_EQ((*file)->commit().error().code, Code::kIo);
  EXPECT_FALSE(fs::exists(path("f")));

  const auto other = files_.create(path("g"));
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->commit());
  EXPECT_EQ((*other)->append(as_bytes("abc")).error().code, Code::kIo);
  EXPECT_EQ((*other)->commit().error().code, Code::kIo);
  EXPECT_EQ(contents("g"), "");
}

TEST_F(FileTest, TwoWritersOfOneNameDoNotMix) {
  const auto first = files_.create(path("f"));
  const auto second = files_.create(path("f"));
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  ASSERT_TRUE((*first)->append(as_bytes("first")));
  ASSERT_TRUE((*second)->append(as_bytes("2nd")));
  ASSERT_TRUE((*first)->commit());
  EXPECT_EQ(contents("f"), "first");
  ASSERT_TRUE((*second)->commit());
  EXPECT_EQ(contents("f"), "2nd");
}

TEST_F(FileTest, ListsByNameAndLeavesOutDanglingLinks) {
  put("b", "22");
  put("a", "1");
  fs::create_directory(path("c"));
  fs::create_symlink("nowhere", path("dangling"));
  const auto entries = files_.list(directory_);
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ((*entries)[0].name, "a");
  EXPECT_EQ((*entries)[0].bytes, 1u);
  EXPECT_FALSE((*entries)[0].is_directory);
  EXPECT_EQ((*entries)[1].name, "b");
  EXPECT_EQ((*entries)[1].bytes, 2u);
  EXPECT_EQ((*entries)[2].name, "c");
  EXPECT_TRUE((*entries)[2].is_directory);
}

TEST_F(FileTest, StatNamesTheLastPartOfThePath) {
  put("x.bin", "123");
  const auto entry = files_.stat(path("x.bin"));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->name, "x.bin");
  EXPECT_EQ(entry->bytes, 3u);
  const auto directory = files_.stat(directory_ + "/");
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->name, fs::path(directory_).filename().string());
  EXPECT_TRUE(directory->is_directory);
}

TEST_F(FileTest, ReadTextTakesAWholeFileUpToItsLimit) {
  const std::string text = put("t", "twelve bytes");
  EXPECT_EQ(*read_text(files_, text, 12), "twelve bytes");
  EXPECT_EQ(read_text(files_, text, 11).error().code, Code::kLimit);
  EXPECT_EQ(*read_text(files_, put("e", ""), 0), "");
}

}  // namespace
}  // namespace thaw
