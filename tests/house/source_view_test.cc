#include "source_view.h"

#include <gtest/gtest.h>

namespace thaw::house {
namespace {

std::string squeezed(std::string text) {
  std::erase(text, ' ');
  std::erase(text, '\n');
  return text;
}

TEST(SourceView, PartsCommentsAndQuotesFromCode) {
  const SourceView view = view_of(
      "int a = 1;  // note \"x\"\n"
      "/* b\n c */ const char* d = \"e // f\\\"g\";\n"
      "char h = '\"'; char i = '\\'';\n");
  EXPECT_EQ(squeezed(view.code), "inta=1;constchar*d=\"\";charh='';chari='';");
  EXPECT_EQ(squeezed(view.comments), "//note\"x\"/*bc*/");
  EXPECT_EQ(squeezed(view.quoted), "e//f\\\"g\"\\'");
}

TEST(SourceView, KeepsEveryCharacterAtItsPlace) {
  const std::string text = "a /* b\nc */ \"d\" 'e' // f\\\ng\nh";
  const SourceView view = view_of(text);
  ASSERT_EQ(view.code.size(), text.size());
  ASSERT_EQ(view.comments.size(), text.size());
  ASSERT_EQ(view.quoted.size(), text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int holders =
        (view.code[i] == text[i]) + (view.comments[i] == text[i]) + (view.quoted[i] == text[i]);
    EXPECT_GE(holders, 1) << i;
  }
}

TEST(SourceView, KnowsRawStringsAndDigitSeparators) {
  const SourceView view = view_of(
      "auto a = R\"(x \" // { )\"; auto b = R\"json(y )\" { )json\"; int c = 1'000'000; f('z');");
  EXPECT_EQ(squeezed(view.code), "autoa=R\"\";autob=R\"\";intc=1'000'000;f('');");
  EXPECT_EQ(squeezed(view.quoted), "x\"//{y)\"{z");
}

TEST(SourceView, KnowsTheLinesOfRawStrings) {
  const SourceView view = view_of("int a;\nauto b = R\"(one\ntwo\n)\" + \"x\";\nint c = 'd';\n");
  EXPECT_EQ(view.raw_lines, (std::set<std::size_t>{2, 3, 4}));
}

TEST(SourceView, SurvivesWhatEndsTooEarly) {
  for (const char* text :
       {"\"", "'", "/*", "R\"", "R\"x", "R\"x(", "\"\\", "//\\", "", "{", "}", ")"}) {
    EXPECT_EQ(view_of(text).code.size(), std::string(text).size()) << text;
    functions_of(text);
  }
}

TEST(Functions, AreFoundWithTheirLines) {
  const FunctionList list = functions_of(
      "#include <x>\n"
      "namespace a {\n"
      "int first() {\n"
      "  if (true) {\n"
      "  }\n"
      "}\n"
      "\n"
      "// A comment is no part of it.\n"
      "template <class T>\n"
      "T Class::second(int b,\n"
      "                int c) const {\n"
      "  const auto d = [&](int e) {\n"
      "    return e;\n"
      "  };\n"
      "}\n"
      "TEST(Thing, Does) {\n"
      "}\n"
      "}  // namespace a\n");
  EXPECT_TRUE(list.balanced);
  ASSERT_EQ(list.functions.size(), 3u);
  EXPECT_EQ(list.functions[0].name, "first");
  EXPECT_EQ(list.functions[0].first_line, 3u);
  EXPECT_EQ(list.functions[0].lines, 4u);
  EXPECT_EQ(list.functions[1].name, "Class::second");
  EXPECT_EQ(list.functions[1].first_line, 9u);
  EXPECT_EQ(list.functions[1].lines, 7u);
  EXPECT_EQ(list.functions[2].name, "TEST(Thing, Does)");
  EXPECT_EQ(list.functions[2].lines, 2u);
}

TEST(Functions, ClassesEnumsAndTablesAreNone) {
  const FunctionList list = functions_of(
      "struct alignas(64) A final : B<int(int)> {\n"
      "  int x_{};\n"
      "  int y = 3;\n"
      "  A() : x_{1}, y(2) {}\n"
      "  bool operator==(const A& other) const { return true; }\n"
      "};\n"
      "enum class C { d, e };\n"
      "const T table[] = {{f(1), {2}}, {3}};\n"
      "const U made{1, 2};\n"
      "struct stat g() { return {}; }\n"
      "const auto h = [](int i) { return i; };\n"
      "const Calls calls = {.open = [](int j) { return j; }};\n"
      "extern \"C\" {\n"
      "int k();\n"
      "}\n"
      "template <class T> requires(sizeof(T) == 4) struct M {};\n");
  EXPECT_TRUE(list.balanced);
  std::vector<std::string> names;
  for (const FunctionSpan& function : list.functions) names.push_back(function.name);
  // The member initialiser x_{1} opens the constructor's span, its body is the rest.
  EXPECT_EQ(std::count(names.begin(), names.end(), "operator=="), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "g"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "A"), 1);
  for (const char* none : {"f", "k", "M"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), none), 0) << none;
  }
  for (const FunctionSpan& function : list.functions) EXPECT_EQ(function.lines, 1u);
}

TEST(Functions, ListsOfValuesCountAsOneLine) {
  const FunctionList list = functions_of(
      "void f() {\n"
      "  const int t[] = {\n"
      "      1,\n"
      "      {2,\n"
      "       3}};\n"
      "  for (int i : {\n"
      "           1, 2}) {\n"
      "    g(i);\n"
      "  }\n"
      "  h({1,\n"
      "     2});\n"
      "  switch (x) {\n"
      "    case 1: {\n"
      "      h([&](int j) {\n"
      "        return j;\n"
      "      });\n"
      "    }\n"
      "  }\n"
      "}\n");
  ASSERT_EQ(list.functions.size(), 1u);
  EXPECT_TRUE(list.balanced);
  EXPECT_EQ(list.functions[0].lines, 19u - 3 - 1 - 1);
}

TEST(Functions, BracesThatDoNotMatchAreSaid) {
  EXPECT_FALSE(functions_of("int f() {\n#if A\n  if (x) {\n#else\n  {\n#endif\n  }\n}\n").balanced);
  EXPECT_FALSE(functions_of("int f() { } }").balanced);
  EXPECT_TRUE(functions_of("#define OPEN {\nint f() { }").balanced);
}

TEST(FindWord, TakesWholeWordsOnly) {
  EXPECT_EQ(find_word("static_assert assert", "assert"), 14u);
  EXPECT_EQ(find_word("asserted", "assert"), std::string::npos);
  EXPECT_EQ(find_word("assert(assert)", "assert", 1), 7u);
}

TEST(Report, WritesOneLineAFinding) {
  EXPECT_EQ(report({{"a.cc", 3, "wrong"}, {"b.cc", 0, "odd"}}), "\na.cc:3: wrong\nb.cc:0: odd");
}

}  // namespace
}  // namespace thaw::house
