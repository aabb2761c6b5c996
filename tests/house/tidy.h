// What every file of the tree looks like: lengths, names, comments that promise work, words that
// have no place. Each check is a pure function over the tree.
#pragma once

#include <cstddef>
#include <vector>

#include "source_view.h"

namespace thaw::house {

inline constexpr std::size_t kFileLinesMax = 600;
inline constexpr std::size_t kFunctionLinesMax = 80;
inline constexpr std::size_t kLineColumnsMax = 100;

// Files, lines and functions within the limits above.
std::vector<Finding> check_lengths(const std::vector<SourceFile>& tree);
// Programs and their folders in snake_case; a header that is included more than once ends in
// -inl.h.
std::vector<Finding> check_names(const std::vector<SourceFile>& tree);
// Headers begin by saying what they are, are included once, and open no namespace for others.
std::vector<Finding> check_headers(const std::vector<SourceFile>& tree);
// Work that is promised for later is of a kind that may wait: perf, test or port.
std::vector<Finding> check_todos(const std::vector<SourceFile>& tree);
// No C assertions, no tests that do not run.
std::vector<Finding> check_code(const std::vector<SourceFile>& tree);
// No tabs, no blanks at the end of a line, a newline at the end of a file.
std::vector<Finding> check_whitespace(const std::vector<SourceFile>& tree);
// The project speaks of itself alone.
std::vector<Finding> check_words(const std::vector<SourceFile>& tree);

}  // namespace thaw::house
