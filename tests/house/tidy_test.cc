#include "tidy.h"

#include <gtest/gtest.h>

namespace thaw::house {
namespace {

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree(THAW_SOURCE_DIR);
  return files;
}

std::string repeated(std::string_view piece, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += piece;
  return text;
}

using Check = std::vector<Finding> (*)(const std::vector<SourceFile>&);

std::size_t count_of(Check check, const std::string& path, const std::string& text) {
  return check({{path, text}}).size();
}

TEST(Tidy, TheTreeKeepsItsLengths) {
  EXPECT_TRUE(check_lengths(tree()).empty()) << report(check_lengths(tree()));
}
TEST(Tidy, TheTreeKeepsItsNames) {
  EXPECT_TRUE(check_names(tree()).empty()) << report(check_names(tree()));
}
TEST(Tidy, TheTreeKeepsItsHeaders) {
  EXPECT_TRUE(check_headers(tree()).empty()) << report(check_headers(tree()));
}
TEST(Tidy, TheTreeKeepsItsTodos) {
  EXPECT_TRUE(check_todos(tree()).empty()) << report(check_todos(tree()));
}
TEST(Tidy, TheTreeKeepsItsCode) {
  EXPECT_TRUE(check_code(tree()).empty()) << report(check_code(tree()));
}
TEST(Tidy, TheTreeKeepsItsWhitespace) {
  EXPECT_TRUE(check_whitespace(tree()).empty()) << report(check_whitespace(tree()));
}
TEST(Tidy, TheTreeKeepsToItsSubject) {
  EXPECT_TRUE(check_words(tree()).empty()) << report(check_words(tree()));
}

TEST(Tidy, SeesALongFile) {
  EXPECT_EQ(count_of(check_lengths, "a.cc", repeated("int a;\n", kFileLinesMax)), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", repeated("int a;\n", kFileLinesMax + 1)), 1u);
  EXPECT_EQ(count_of(check_lengths, "a.py", repeated("a\n", kFileLinesMax + 1)), 1u);
  EXPECT_EQ(count_of(check_lengths, "a.inc", repeated("1,\n", kFileLinesMax + 1)), 0u);
}

TEST(Tidy, SeesALongLineInCharacters) {
  EXPECT_EQ(count_of(check_lengths, "a.cc", repeated("x", kLineColumnsMax) + "\n"), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", repeated("x", kLineColumnsMax + 1) + "\n"), 1u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", "//" + repeated("\xC3\xA9", kLineColumnsMax - 2)), 0u);
}

TEST(Tidy, LeavesDataInRawStringsAsItIs) {
  const std::string wide = repeated("x", kLineColumnsMax + 1);
  EXPECT_EQ(count_of(check_lengths, "a.cc", "auto a = R\"(" + wide + "\n" + wide + ")\";\n"), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", "auto a = \"" + wide + "\";\n"), 1u);
  EXPECT_EQ(count_of(check_whitespace, "a.cc", "auto a = R\"(\tb \n)\";\n"), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.py", "a = \"\"\"b\n" + wide + "\n\"\"\"\n" + wide + "\n"),
            1u);
}

TEST(Tidy, SeesALongFunction) {
  const auto function_of = [](std::size_t lines) {
    return "int f() {\n" + repeated("  g();\n", lines - 2) + "}\n";
  };
  EXPECT_EQ(count_of(check_lengths, "a.cc", function_of(kFunctionLinesMax)), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", function_of(kFunctionLinesMax + 1)), 1u);
  const std::string in_class = "class A {\n" + function_of(kFunctionLinesMax + 1) + "};\n";
  EXPECT_EQ(count_of(check_lengths, "a.h", in_class), 1u);
  const std::string test = "TEST(A, B) {\n" + repeated("  g();\n", kFunctionLinesMax) + "}\n";
  EXPECT_EQ(count_of(check_lengths, "a.cc", test), 1u);
  const std::string table = "int t[] = {\n" + repeated("  1,\n", kFunctionLinesMax) + "};\n";
  EXPECT_EQ(count_of(check_lengths, "a.cc", table), 0u);
  EXPECT_EQ(count_of(check_lengths, "a.cc", "int f() {\n"), 1u) << "braces that do not match";
}

TEST(Tidy, SeesNamesThatAreNotSnakeCase) {
  EXPECT_EQ(count_of(check_names, "base/thread_pool2.cc", ""), 0u);
  EXPECT_EQ(count_of(check_names, "base/ThreadPool.cc", ""), 1u);
  EXPECT_EQ(count_of(check_names, "base/thread-pool.h", ""), 1u);
  EXPECT_EQ(count_of(check_names, "Base/a.cc", ""), 1u);
  EXPECT_EQ(count_of(check_names, "kernels/generic-inl.h", ""), 0u);
  EXPECT_EQ(count_of(check_names, "kernels/Generic-inl.h", ""), 1u);
  EXPECT_EQ(count_of(check_names, "README.md", ""), 0u);
}

TEST(Tidy, SeesHeadersWithoutTheirHead) {
  EXPECT_EQ(count_of(check_headers, "a.h", "// What.\n#pragma once\n"), 0u);
  EXPECT_EQ(count_of(check_headers, "a.h", "// What.\n"), 1u);
  EXPECT_EQ(count_of(check_headers, "a.h", "// What.\n// #pragma once\n"), 1u);
  EXPECT_EQ(count_of(check_headers, "a.h", "#pragma once\n"), 1u);
  EXPECT_EQ(count_of(check_headers, "a.h", "// What.\n#pragma once\nusing  namespace a;\n"), 1u);
  EXPECT_EQ(count_of(check_headers, "a.h", "// What.\n#pragma once\nusing a::b;\n"), 0u);
  EXPECT_EQ(count_of(check_headers, "a-inl.h", "// What.\n"), 0u);
  EXPECT_EQ(count_of(check_headers, "a.cc", "using namespace a;\n"), 0u);
}

TEST(Tidy, SeesPromisesThatMayNotStay) {
  EXPECT_EQ(count_of(check_todos, "a.cc", "// TODO(now): finish\n"), 1u);
  EXPECT_EQ(count_of(check_todos, "a.cc", "// TODO: finish\n"), 1u);
  EXPECT_EQ(count_of(check_todos, "a.cc", "// TODO(someday): finish\n"), 1u);
  EXPECT_EQ(count_of(check_todos, "a.cc", "/* FIXME */\n"), 1u);
  EXPECT_EQ(count_of(check_todos, "a.sh", "# TODO(now): finish\n"), 1u);
  EXPECT_EQ(count_of(check_todos, "a.cc", "// TODO(perf): wider.\n// TODO(port): it.\n"), 0u);
  EXPECT_EQ(count_of(check_todos, "a.cc", "f(\"TODO\");\n"), 0u);
}

TEST(Tidy, SeesAssertsAndTestsThatDoNotRun) {
  EXPECT_EQ(count_of(check_code, "a.cc", "assert (x);\n"), 1u);
  EXPECT_EQ(count_of(check_code, "a.cc", "static_assert(x);\n"), 0u);
  EXPECT_EQ(count_of(check_code, "a.cc", "// assert(x)\n"), 0u);
  EXPECT_EQ(count_of(check_code, "a.cc", "TEST(A, DISABLED_B) {}\n"), 1u);
  EXPECT_EQ(count_of(check_code, "a.cc", "GTEST_SKIP();\n"), 1u);
}

TEST(Tidy, SeesRaggedWhitespace) {
  EXPECT_EQ(count_of(check_whitespace, "a.cc", "int a;\n"), 0u);
  EXPECT_EQ(count_of(check_whitespace, "a.cc", "\tint a;\n"), 1u);
  EXPECT_EQ(count_of(check_whitespace, "a.cc", "int a; \n"), 1u);
  EXPECT_EQ(count_of(check_whitespace, "a.cc", "int a;\r\n"), 1u);
  EXPECT_EQ(count_of(check_whitespace, "a.md", "text"), 1u);
  EXPECT_EQ(count_of(check_whitespace, "Makefile", "a:\n\tb\n"), 0u);
}

TEST(Tidy, SeesWordsThatAreNoneOfTheReadersBusiness) {
  EXPECT_EQ(count_of(check_words, "README.md", std::string("see ../") + "shared/x"), 1u);
  EXPECT_EQ(count_of(check_words, "a.sh", std::string("cd /wo") + "rk/x"), 1u);
  EXPECT_EQ(count_of(check_words, "a.md", std::string("a sub") + "agent"), 1u);
  EXPECT_EQ(count_of(check_words, "a.md", "shared work"), 0u);
}

}  // namespace
}  // namespace thaw::house
