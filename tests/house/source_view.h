// A C++ source taken apart as far as the house's rules need it: code, comments and quoted text each
// by themselves, with every character still at its place. No parser: no types, no macros expanded.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace thaw::house {

// A text file of the tree.
struct SourceFile {
  std::string path;  // from the root, with '/'
  std::string text;
};

// A broken rule.
struct Finding {
  std::string path;
  std::size_t line = 0;  // from 1; 0: the file as a whole
  std::string message;
};

// Three views of one source, each as long as it, blanks standing for what is in the others. Lines
// keep their numbers.
struct SourceView {
  std::string code;      // without comments, and without what is between quotes
  std::string comments;  // their text alone
  std::string quoted;    // what is between quotes (strings, raw strings, characters)
  std::set<std::size_t>
      raw_lines;  // numbers of the lines that a raw string touches: data, not style
};
SourceView view_of(std::string_view text);

// `code` with preprocessor directives (and their continued lines) blanked as well.
std::string without_directives(std::string_view code);

// A function's body and all that stands before it, from its first line to its closing brace. The
// further lines of a list of values ({...} after = ( , or in a for) are data and not counted.
struct FunctionSpan {
  std::string name;
  std::size_t first_line = 0;
  std::size_t lines = 0;
};

// The functions of a source (a lambda belongs to the function it is written in; one at namespace
// scope is a function). `balanced` is false where braces do not match, so that nothing can be said.
struct FunctionList {
  std::vector<FunctionSpan> functions;
  bool balanced = true;
};
FunctionList functions_of(std::string_view text);

std::vector<std::string_view> lines_of(std::string_view text);
std::size_t line_at(std::string_view text, std::size_t offset);

// Where `word` stands in `text` as a whole word (no letter, digit or _ beside it), from `from` on;
// npos where it does not.
std::size_t find_word(std::string_view text, std::string_view word, std::size_t from = 0);

// Every text file below `root`, sorted by path; build outputs, models, the version control's files
// and test data are left out.
std::vector<SourceFile> read_tree(const std::string& root);

// The findings one a line, as compilers write them.
std::string report(const std::vector<Finding>& findings);

}  // namespace thaw::house
