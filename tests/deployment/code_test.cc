#include "runtime/deployment/code.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/random.h"

namespace thaw::deployment {
namespace {

namespace fs = std::filesystem;

void put(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(i < 8 ? value >> (8 * i) : 0);
}

// A zip of one stored (method 0) or otherwise packed member, as the format's description has it.
std::string zip_of(const std::string& name, const std::string& data, std::uint16_t method = 0) {
  std::string zip = "PK\x03\x04";
  put(zip, 20, 2);
  put(zip, 0, 2);
  put(zip, method, 2);
  put(zip, 0, 8);
  put(zip, data.size(), 4);
  put(zip, data.size(), 4);
  put(zip, name.size(), 2);
  put(zip, 4, 2);
  zip += name + std::string("\x99\x99\0\0", 4) + data;
  const std::size_t directory = zip.size();
  zip += "PK\x01\x02";
  put(zip, 20, 2);
  put(zip, 20, 2);
  put(zip, 0, 2);
  put(zip, method, 2);
  put(zip, 0, 8);
  put(zip, data.size(), 4);
  put(zip, data.size(), 4);
  put(zip, name.size(), 2);
  put(zip, 0, 12);
  put(zip, 0, 4);
  zip += name;
  const std::size_t bytes = zip.size() - directory;
  zip += "PK\x05\x06";
  put(zip, 0, 4);
  put(zip, 1, 2);
  put(zip, 1, 2);
  put(zip, bytes, 4);
  put(zip, directory, 4);
  put(zip, 0, 2);
  return zip;
}

class CodeTest : public testing::Test {
 protected:
  CodeTest() {
    std::string name = (fs::temp_directory_path() / "thaw-code-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    function_.options.name = "chat";
    function_.code = "package.zip";
    function_.handler = "model.thaw";
  }
  ~CodeTest() override { fs::remove_all(directory_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(directory_ + "/" + name).parent_path());
    std::ofstream(directory_ + "/" + name, std::ios::binary) << text;
  }
  Result<std::string> find() {
    return find_snapshot(function_, directory_, directory_ + "/unpacked", system_files(),
                         system_state_files());
  }
  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string directory_;
  TemplateFunction function_;
};

TEST_F(CodeTest, LooksInTheFolderThenBesideTheTemplate) {
  write("code/model.thaw", "in code");
  write("model.thaw", "beside");
  function_.code = "code/";
  EXPECT_EQ(contents(*find()), "in code");
  function_.handler = "model";
  EXPECT_EQ(contents(*find()), "in code");
  function_.code = "elsewhere";
  EXPECT_EQ(contents(*find()), "beside");
  function_.handler = "other";
  EXPECT_EQ(find().error().code, Code::kNotFound);
}

TEST_F(CodeTest, TakesASnapshotOutOfAPackage) {
  const std::string data(100'000, 'w');
  write("package.zip", zip_of("model.thaw", data));
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(contents(*found), data);
  write("package.zip", zip_of("model.thaw", "packed", 8));
  EXPECT_EQ(find().error().code, Code::kUnsupported);
  write("package.zip", zip_of("other.thaw", data));
  EXPECT_EQ(find().error().code, Code::kNotFound);
}

TEST_F(CodeTest, WritesBelowTheFolderForWhatIsUnpackedWhateverTheTemplateSays) {
  write("package.zip", zip_of("../../../escaped.thaw", "data"));
  function_.handler = "../../../escaped.thaw";
  function_.options.name = "../..";
  const auto found = find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->starts_with(directory_ + "/unpacked/")) << *found;
  EXPECT_TRUE(found->ends_with("/escaped.thaw")) << *found;
  EXPECT_FALSE(fs::exists(directory_ + "/escaped.thaw"));
}

TEST_F(CodeTest, RefusesABrokenPackageWhereverItIsBroken) {
  const std::string whole = zip_of("model.thaw", std::string(50, 'w'));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write("package.zip", whole.substr(0, bytes));
    EXPECT_FALSE(find()) << bytes;
  }
  Random random(20261122);
  for (int round = 0; round < 500; ++round) {
    std::string damaged = whole;
    damaged[static_cast<std::size_t>(random.below(damaged.size()))] =
        static_cast<char>(random.next());
    write("package.zip", damaged);
    (void)find();  // anything but a crash
  }
}

}  // namespace
}  // namespace thaw::deployment
