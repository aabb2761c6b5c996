#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "source_view.h"

namespace thaw::house {
namespace {

namespace fs = std::filesystem;

TEST(Tree, HoldsTextFilesWithoutOutputsModelsAndData) {
  std::string root = (fs::temp_directory_path() / "thaw-tree-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  for (const char* path : {"a/b.cc", "README.md", ".ci/run", ".git/config", "build/x.cc",
                           "models/m.txt", "tests/data/d.cc", "tests/t.cc", "x.thaw"}) {
    fs::create_directories(fs::path(root + "/" + path).parent_path());
    std::ofstream(root + "/" + path) << "text";
  }
  std::ofstream(root + "/binary") << std::string("\0\1", 2);
  fs::create_directory_symlink(root, root + "/loop");
  std::vector<std::string> paths;
  for (const SourceFile& file : read_tree(root)) paths.push_back(file.path);
  EXPECT_EQ(paths, (std::vector<std::string>{".ci/run", "README.md", "a/b.cc", "tests/t.cc"}));
  fs::remove_all(root + "/.git");
  std::ofstream(root + "/.git") << "gitdir: elsewhere";  // as in a worktree
  EXPECT_EQ(read_tree(root).size(), paths.size());
  fs::remove_all(root);
}

TEST(Tree, IsReallyRead) {
  bool this_file = false;
  for (const SourceFile& file : read_tree(THAW_SOURCE_DIR)) {
    this_file = this_file || file.path == "tests/house/tree_test.cc";
  }
  EXPECT_TRUE(this_file);
}

}  // namespace
}  // namespace thaw::house
