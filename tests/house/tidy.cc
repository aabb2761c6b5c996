#include "tidy.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace thaw::house {
namespace {

std::string_view ending_of(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool is_one_of(std::string_view ending, std::initializer_list<std::string_view> endings) {
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

bool is_cpp(const SourceFile& file) {
  return is_one_of(ending_of(file.path), {".h", ".cc", ".cu", ".cuh"});
}

bool is_program(const SourceFile& file) {
  return is_cpp(file) || is_one_of(ending_of(file.path), {".py", ".sh", ".cmake"});
}

// Lines that hold another language's text: raw strings, and the triple-quoted ones of Python.
std::set<std::size_t> data_lines(const SourceFile& file) {
  if (is_cpp(file)) return view_of(file.text).raw_lines;
  std::set<std::size_t> lines;
  if (ending_of(file.path) != ".py") return lines;
  bool inside = false;
  std::size_t number = 0;
  for (const std::string_view line : lines_of(file.text)) {
    ++number;
    std::size_t quotes = 0;
    for (std::size_t at = line.find("\"\"\""); at != std::string_view::npos;
         at = line.find("\"\"\"", at + 3)) {
      ++quotes;
    }
    if (inside || quotes > 0) lines.insert(number);
    if (quotes % 2 == 1) inside = !inside;
  }
  return lines;
}

// Characters, not bytes: a line of a comment may hold letters beyond ASCII.
std::size_t columns_of(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool is_snake_case(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::islower(static_cast<unsigned char>(c)) != 0 ||
           std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '_';
  });
}

// A header of definitions that several sources take in, each for its own target or types.
constexpr std::string_view kIncludedAgain = "-inl.h";
bool is_included_again(std::string_view path) { return path.ends_with(kIncludedAgain); }

// Adds a finding for each place of `word` in `code`.
void find_all(const SourceFile& file, std::string_view code, std::string_view word,
              const std::string& message, std::vector<Finding>& findings) {
  for (std::size_t at = find_word(code, word); at != std::string_view::npos;
       at = find_word(code, word, at + 1)) {
    findings.push_back({file.path, line_at(code, at), message});
  }
}

char next_solid(std::string_view code, std::size_t from) {
  const std::size_t at = code.find_first_not_of(" \n", from);
  return at == std::string_view::npos ? '\0' : code[at];
}

}  // namespace

std::vector<Finding> check_lengths(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_program(file)) continue;
    const auto lines = lines_of(file.text);
    if (lines.size() > kFileLinesMax) {
      findings.push_back({file.path, 0,
                          std::to_string(lines.size()) + " lines, at most " +
                              std::to_string(kFileLinesMax) + "; divide it"});
    }
    const std::set<std::size_t> data = data_lines(file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::size_t columns = columns_of(lines[i]);
      if (columns <= kLineColumnsMax || data.count(i + 1) != 0) continue;
      findings.push_back(
          {file.path, i + 1,
           std::to_string(columns) + " columns, at most " + std::to_string(kLineColumnsMax)});
    }
    if (!is_cpp(file)) continue;
    const FunctionList list = functions_of(file.text);
    if (!list.balanced) {
      findings.push_back({file.path, 0,
                          "braces do not match, so functions cannot be measured; "
                          "keep them apart from #if"});
    }
    for (const FunctionSpan& function : list.functions) {
      if (function.lines <= kFunctionLinesMax) continue;
      findings.push_back({file.path, function.first_line,
                          function.name + " has " + std::to_string(function.lines) +
                              " lines, at most " + std::to_string(kFunctionLinesMax)});
    }
  }
  return findings;
}

std::vector<Finding> check_names(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_program(file) && ending_of(file.path) != ".inc") continue;
    std::string_view rest = file.path;
    rest.remove_suffix(ending_of(file.path).size());
    if (is_included_again(file.path)) rest.remove_suffix(kIncludedAgain.size() - 2);
    while (!rest.empty()) {
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      if (!is_snake_case(rest.substr(0, slash))) {
        findings.push_back(
            {file.path, 0, "'" + std::string(rest.substr(0, slash)) + "' is not snake_case"});
      }
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
  }
  return findings;
}

std::vector<Finding> check_headers(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_one_of(ending_of(file.path), {".h", ".cuh"})) continue;
    const SourceView view = view_of(file.text);
    const auto lines = lines_of(view.code);
    const bool once = std::find(lines.begin(), lines.end(), "#pragma once") != lines.end();
    if (!once && !is_included_again(file.path)) {
      findings.push_back({file.path, 1, "no #pragma once"});
    }
    if (!file.text.starts_with("// ")) {
      findings.push_back({file.path, 1, "does not begin with a comment that says what it is for"});
    }
    for (std::size_t at = find_word(view.code, "using"); at != std::string::npos;
         at = find_word(view.code, "using", at + 1)) {
      const std::size_t next = view.code.find_first_not_of(" \n", at + 5);
      if (next != std::string::npos && find_word(view.code, "namespace", next) == next) {
        findings.push_back({file.path, line_at(view.code, at), "using namespace in a header"});
      }
    }
  }
  return findings;
}

std::vector<Finding> check_todos(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_program(file)) continue;
    const std::string text = is_cpp(file) ? view_of(file.text).comments : file.text;
    for (const std::string_view word : {"TODO", "FIXME", "XXX", "HACK"}) {
      for (std::size_t at = find_word(text, word); at != std::string::npos;
           at = find_word(text, word, at + 1)) {
        const std::string_view rest = std::string_view(text).substr(at);
        if (rest.starts_with("TODO(perf): ") || rest.starts_with("TODO(test): ") ||
            rest.starts_with("TODO(port): ")) {
          continue;
        }
        findings.push_back({file.path, line_at(text, at),
                            "only TODO(perf): , TODO(test): and TODO(port): may stay"});
      }
    }
  }
  return findings;
}

std::vector<Finding> check_code(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_cpp(file)) continue;
    const std::string code = view_of(file.text).code;
    for (std::size_t at = find_word(code, "assert"); at != std::string::npos;
         at = find_word(code, "assert", at + 1)) {
      if (next_solid(code, at + 6) != '(') continue;
      findings.push_back({file.path, line_at(code, at), "assert; a bug of ours is a THAW_CHECK"});
    }
    find_all(file, code, "GTEST_SKIP", "a test that can be skipped; fix it or delete it", findings);
    for (std::size_t at = code.find("DISABLED_"); at != std::string::npos;
         at = code.find("DISABLED_", at + 1)) {
      findings.push_back({file.path, line_at(code, at), "a disabled test; fix it or delete it"});
    }
  }
  return findings;
}

std::vector<Finding> check_whitespace(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_program(file) && ending_of(file.path) != ".md") continue;
    const auto lines = lines_of(file.text);
    const std::set<std::size_t> data = data_lines(file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (data.count(i + 1) != 0) continue;
      if (lines[i].find('\t') != std::string_view::npos) {
        findings.push_back({file.path, i + 1, "a tab; indent with spaces"});
      }
      if (lines[i].ends_with(' ') || lines[i].ends_with('\r')) {
        findings.push_back({file.path, i + 1, "blanks at the end of the line"});
      }
    }
    if (!file.text.empty() && !file.text.ends_with('\n')) {
      findings.push_back({file.path, lines.size(), "no newline at the end"});
    }
  }
  return findings;
}

std::vector<Finding> check_words(const std::vector<SourceFile>& tree) {
  // In two pieces each, so that this file does not find itself.
  static const std::vector<std::string> words = {
      std::string("../") + "shared", std::string("sub") + "agent", std::string("/wo") + "rk/"};
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    for (const std::string& word : words) {
      for (std::size_t at = file.text.find(word); at != std::string::npos;
           at = file.text.find(word, at + 1)) {
        findings.push_back({file.path, line_at(file.text, at),
                            "'" + word + "' means nothing to a reader of the project"});
      }
    }
  }
  return findings;
}

}  // namespace thaw::house
