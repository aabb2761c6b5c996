// The arm64 `bootstrap` answers the same event with the same words.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;

// A program that runs the arm64 one under qemu-user; removed with the object.
class Wrapper {
 public:
  explicit Wrapper(const std::string& processor)
      : path_(cat(testing::TempDir(), "bootstrap-", processor, "-", getpid())) {
    auto file = system_files().create(path_);
    EXPECT_TRUE((*file)->append(as_bytes(cat("#!/bin/sh\nexec /usr/bin/qemu-aarch64-static -cpu ",
                                             processor, " " THAW_ARM64_BOOTSTRAP "\n"))));
    EXPECT_TRUE((*file)->commit());
    chmod(path_.c_str(), 0755);
  }
  ~Wrapper() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// max has dotprod and i8mm, neoverse-n1 (Graviton 2) dotprod only, cortex-a72 neither.
TEST(Arm64, AnswersWithTheSameWordsOnEveryProcessor) {
  ASSERT_TRUE(system_files().stat(THAW_ARM64_BOOTSTRAP))
      << "no arm64 bootstrap; build it with: cmake --preset aarch64 && cmake --build --preset "
         "aarch64 --target bootstrap";
  const std::string event =
      R"({"messages":[{"role":"user","content":"Hello there"}],"max_tokens":12})";
  const std::string snapshot = snapshot_of(tiny_model(), "You are a clerk in a shop for paint.");
  const json here = json::parse(Emulated(snapshot).invoke(event).body, nullptr, false);
  ASSERT_TRUE(here.contains("text")) << here.dump();
  ASSERT_GT(here["usage"]["cached_tokens"], 10);  // a prefix computed here is restored there
  for (const char* processor : {"max", "neoverse-n1", "cortex-a72"}) {
    const Wrapper wrapper(processor);
    Emulated emulated(snapshot, {"--bootstrap", wrapper.path()});
    const http::Response response = emulated.invoke(event);
    const json there = json::parse(response.body, nullptr, false);
    ASSERT_TRUE(there.contains("text")) << processor << ": " << response.body << emulated.log();
    EXPECT_EQ(there["text"], here["text"]) << processor;
    EXPECT_EQ(there["usage"], here["usage"]) << processor;
  }
}

}  // namespace
}  // namespace thaw::end_to_end
