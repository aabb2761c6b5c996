#include "layering.h"

#include <gtest/gtest.h>

#include <set>

namespace thaw::house {
namespace {

const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree(THAW_SOURCE_DIR);
  return files;
}

// What check_includes says of a file at `path` that includes `included`; both exist.
std::vector<Finding> findings_for(const std::string& path, const std::string& included) {
  return check_includes({{path, "#include \"" + included + "\"\n"}, {included, "// x\n"}});
}

TEST(Layering, TheTreeIncludesOnlyDownwards) {
  EXPECT_TRUE(check_includes(tree()).empty()) << report(check_includes(tree()));
}

TEST(Layering, TheTreeLinksOnlyDownwards) {
  EXPECT_TRUE(check_links(tree()).empty()) << report(check_links(tree()));
}

TEST(Layering, TheTreeMindsItsManners) {
  EXPECT_TRUE(check_manners(tree()).empty()) << report(check_manners(tree()));
}

TEST(Layering, TheTableHasNoCycles) {
  std::set<std::string_view> known;
  for (const Room& room : rooms()) {
    for (const std::string_view other : room.may_use) {
      EXPECT_TRUE(known.count(other) == 1) << room.folder << " uses " << other << ", listed later";
    }
    known.insert(room.folder);
  }
}

TEST(Layering, ARoomIsTheLongestFolder) {
  EXPECT_EQ(room_of("handler/text/bpe.cc"), "handler/text");
  EXPECT_EQ(room_of("handler/handler.cc"), "handler");
  EXPECT_EQ(room_of("handler/textual.cc"), "handler");
  EXPECT_EQ(room_of("snapshot/gguf/parse.cc"), "snapshot/gguf");
  EXPECT_EQ(room_of("tests/base/file_test.cc"), "");
}

TEST(Layering, SeesIncludesThatGoBesideOrAbove) {
  EXPECT_EQ(findings_for("base/a.cc", "kernels/k.h").size(), 1u);
  EXPECT_EQ(findings_for("kernels/a.cc", "snapshot/s.h").size(), 1u);
  EXPECT_EQ(findings_for("snapshot/a.h", "warmpool/w.h").size(), 1u);
  EXPECT_EQ(findings_for("handler/text/a.cc", "handler/model/m.h").size(), 1u);
  EXPECT_EQ(findings_for("handler/a.cc", "handler/freeze/f.h").size(), 1u);
  EXPECT_EQ(findings_for("runtime/lambda/a.cc", "handler/freeze/f.h").size(), 1u);
  EXPECT_EQ(findings_for("runtime/http/a.cc", "handler/freeze/f.h").size(), 1u);
  EXPECT_EQ(findings_for("runtime/bootstrap_main.cc", "handler/freeze/f.h").size(), 1u);
  EXPECT_EQ(findings_for("runtime/bootstrap_main.cc", "snapshot/gguf/g.h").size(), 1u);
  EXPECT_EQ(findings_for("runtime/lambda/a.cc", "tests/t.h").size(), 1u);
  EXPECT_EQ(findings_for("base/a.cc", "bench/b.h").size(), 1u);
}

TEST(Layering, LetsIncludesGoDown) {
  EXPECT_TRUE(findings_for("kernels/a.cc", "base/b.h").empty());
  EXPECT_TRUE(findings_for("kernels/a.cc", "kernels/b.h").empty());
  EXPECT_TRUE(findings_for("handler/freeze/a.cc", "handler/text/b.h").empty());
  EXPECT_TRUE(findings_for("runtime/bootstrap_main.cc", "handler/handler.h").empty());
  EXPECT_TRUE(findings_for("runtime/cli/a.cc", "handler/freeze/b.h").empty());
  EXPECT_TRUE(findings_for("tests/a.cc", "runtime/cli/b.h").empty());
}

TEST(Layering, SeesPathsThatAreNotFromTheRoot) {
  EXPECT_EQ(check_includes({{"base/a.cc", "#include \"b.h\"\n"}, {"base/b.h", ""}}).size(), 1u);
  EXPECT_EQ(check_includes({{"base/a.cc", "#include \"base/gone.h\"\n"}}).size(), 1u);
  EXPECT_TRUE(
      check_includes({{"tests/x/a.cc", "#include \"b.h\"\n"}, {"tests/x/b.h", ""}}).empty());
  const SourceFile up{"tests/x/a.cc", "#include \"../y/b.h\"\n"};
  EXPECT_TRUE(check_includes({up, {"tests/y/b.h", ""}}).empty());
  EXPECT_EQ(check_includes({{"tests/x/a.cc", "#include \"b.h\"\n"}}).size(), 1u);
}

TEST(Layering, SeesARoomThatNobodyDeclared) {
  EXPECT_EQ(findings_for("attic/a.cc", "base/b.h").size(), 1u);
}

TEST(Layering, CommentsAndSpacesDoNotFoolIt) {
  const SourceFile header{"kernels/k.h", ""};
  EXPECT_EQ(check_includes({{"base/a.cc", "  #  include   \"kernels/k.h\"\n"}, header}).size(), 1u);
  EXPECT_TRUE(check_includes({{"base/a.cc", "// #include \"kernels/k.h\"\n"}, header}).empty());
  EXPECT_TRUE(
      check_includes({{"base/a.cc", "/*\n#include \"kernels/k.h\"\n*/\n"}, header}).empty());
}

TEST(Layering, SeesOutsideLibrariesInTheWrongPlace) {
  const auto findings_of = [](const std::string& path, const std::string& include) {
    return check_includes({{path, "#include <" + include + ">\n"}}).size();
  };
  EXPECT_EQ(findings_of("kernels/a.cc", "nlohmann/json.hpp"), 1u);
  EXPECT_EQ(findings_of("handler/a.cc", "boost/asio.hpp"), 1u);
  EXPECT_EQ(findings_of("runtime/cli/a.cc", "curl/curl.h"), 1u);
  EXPECT_EQ(findings_of("runtime/cli/a.cc", "cblas.h"), 1u);
  EXPECT_EQ(findings_of("handler/reference/openblas.cc", "cblas.h"), 0u);
  EXPECT_EQ(findings_of("base/a.cc", "gtest/gtest.h"), 1u);
  EXPECT_EQ(findings_of("base/log.cc", "spdlog/spdlog.h"), 0u);
  EXPECT_EQ(findings_of("handler/event/a.cc", "nlohmann/json.hpp"), 0u);
  EXPECT_EQ(findings_of("tests/a.cc", "gtest/gtest.h"), 0u);
  EXPECT_EQ(findings_of("base/a.cc", "vector"), 0u);
}

TEST(Layering, SeesASourceThatDoesNotIncludeItsOwnHeaderFirst) {
  const SourceFile own{"base/a.h", ""};
  const SourceFile other{"base/b.h", ""};
  const std::string own_line = "#include \"base/a.h\"\n";
  const std::string other_line = "#include \"base/b.h\"\n";
  EXPECT_EQ(check_includes({{"base/a.cc", other_line + own_line}, own, other}).size(), 1u);
  EXPECT_EQ(check_includes({{"base/a.cc", "int a;\n"}, own}).size(), 1u);
  EXPECT_TRUE(check_includes({{"base/a.cc", own_line + other_line}, own, other}).empty());
}

TEST(Layering, SeesLinksThatGoBesideOrAbove) {
  const auto findings_of = [](const std::string& list) {
    return check_links({{"x/CMakeLists.txt", list}}).size();
  };
  EXPECT_EQ(findings_of("thaw_module(base SOURCES a.cc DEPS kernels)"), 1u);
  EXPECT_EQ(findings_of("thaw_module(handler\n  SOURCES a.cc\n  DEPS base handler/freeze)\n"), 1u);
  EXPECT_EQ(findings_of("thaw_module(attic SOURCES a.cc)"), 1u);
  EXPECT_EQ(findings_of("thaw_module(kernels SOURCES a.cc DEPS base SYSTEM zlib)"), 0u);
  EXPECT_EQ(findings_of("# thaw_module(attic SOURCES a.cc)"), 0u);
  EXPECT_EQ(findings_of("target_link_libraries(bootstrap PRIVATE thaw_handler_freeze)"), 1u);
  EXPECT_EQ(findings_of("target_link_libraries(bootstrap PRIVATE thaw_handler_reference)"), 1u);
  EXPECT_EQ(findings_of("thaw_module(runtime/bootstrap SOURCES a.cc DEPS handler/reference)"), 1u);
  EXPECT_EQ(findings_of("target_link_libraries(bootstrap PRIVATE thaw_handler thaw_flags)"), 0u);
  EXPECT_EQ(findings_of("target_link_libraries(thaw PRIVATE thaw_handler_freeze)"), 0u);
}

TEST(Manners, SeesTheEnvironmentReadOutsideOfMains) {
  const std::string code = "const char* a = std::getenv(\"A\");\n";
  EXPECT_EQ(check_manners({{"handler/a.cc", code}}).size(), 1u);
  EXPECT_EQ(check_manners({{"runtime/cli/a.cc", code}}).size(), 1u);
  EXPECT_TRUE(check_manners({{"runtime/bootstrap_main.cc", code}}).empty());
  EXPECT_TRUE(check_manners({{"tests/base/a.cc", code}}).empty());
  EXPECT_TRUE(check_manners({{"handler/a.cc", "// getenv(\"A\")\nf(\"getenv\");\n"}}).empty());
}

TEST(Manners, SeesPrintingSleepingAndDetachedThreads) {
  EXPECT_EQ(check_manners({{"snapshot/a.cc", "std::cout << 1;\n"}}).size(), 1u);
  EXPECT_EQ(check_manners({{"snapshot/a.cc", "std::fprintf(stderr, \"x\");\n"}}).size(), 1u);
  EXPECT_EQ(check_manners({{"snapshot/a.cc", "std::snprintf(a, 1, \"x\");\n"}}).size(), 0u);
  EXPECT_EQ(check_manners({{"runtime/cli/a.cc", "std::printf(\"x\");\n"}}).size(), 0u);
  EXPECT_EQ(check_manners({{"runtime/a.cc", "std::this_thread::sleep_for(1s);\n"}}).size(), 1u);
  EXPECT_EQ(check_manners({{"runtime/a.cc", "thread.detach();\n"}}).size(), 1u);
}

}  // namespace
}  // namespace thaw::house
