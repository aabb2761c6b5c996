#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "source_view.h"

namespace thaw::house {
namespace {

namespace fs = std::filesystem;

bool is_left_out(const std::string& path, bool is_directory) {
  const std::string name = fs::path(path).filename().string();
  if (!is_directory) {  // in a worktree, .git is a file
    return name.ends_with(".thaw") || name == "compile_commands.json" || path == ".git";
  }
  const bool hidden = name.starts_with('.') && name != ".ci";
  const bool output = path == "build" || path == "models" || name == "__pycache__";
  return hidden || output || path == "tests/data";
}

}  // namespace

std::vector<SourceFile> read_tree(const std::string& root) {
  std::vector<SourceFile> files;
  for (auto at = fs::recursive_directory_iterator(root); at != fs::end(at); ++at) {
    const std::string path = fs::relative(at->path(), root).generic_string();
    const bool is_directory = at->is_directory() && !at->is_symlink();
    if (is_left_out(path, is_directory)) {
      if (is_directory) at.disable_recursion_pending();
      continue;
    }
    if (!at->is_regular_file() || at->is_symlink()) continue;
    std::ifstream file(at->path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.find('\0') != std::string::npos) continue;  // binary
    files.push_back({path, std::move(text)});
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace thaw::house
