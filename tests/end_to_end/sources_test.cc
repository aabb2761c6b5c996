// What `thaw emulate` takes: one event, templates, sources of events; and `thaw events`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "programs.h"

namespace thaw::end_to_end {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;

class Sources : public testing::Test {
 protected:
  Sources() {
    std::string name = testing::TempDir() + "thaw-sources-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    fs::copy_file(snapshot_of(tiny_model()), path("tiny.thaw"),
                  fs::copy_options::overwrite_existing);
  }
  ~Sources() override { fs::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  Finished emulate(const std::string& source, std::vector<std::string> more) const {
    std::vector<std::string> words = {"emulate", path(source), "--state", path("state")};
#ifdef THAW_BOOTSTRAP_IS_ELSEWHERE
    words.insert(words.end(), {"--bootstrap", THAW_BOOTSTRAP});
#endif
    words.insert(words.end(), more.begin(), more.end());
    return run_thaw(words);
  }
  std::string directory_;
};

TEST_F(Sources, OneEventIsAnsweredAndIsTheExitCode) {
  for (const char* sample : {"direct", "chat", "function-url", "api-rest", "queue"}) {
    const Finished event = run_thaw({"events", "show", sample});
    ASSERT_EQ(event.code, 0);
    write("event.json", event.out);
    const Finished done = emulate("tiny.thaw", {"--event", path("event.json")});
    EXPECT_EQ(done.code, 0) << done.err;
    EXPECT_TRUE(Json::accept(done.out)) << sample << ": " << done.out;
  }
  write("event.json", R"({"what":1})");
  const Finished failed = emulate("tiny.thaw", {"--event", path("event.json")});
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(Json::parse(failed.out)["errorType"], "Function.UnsupportedEvent");
  EXPECT_THAT(failed.err, HasSubstr("it failed: Function.UnsupportedEvent"));
  EXPECT_EQ(emulate("tiny.thaw", {"--event", path("none.json")}).code, 1);
}

#ifndef THAW_BOOTSTRAP_IS_ELSEWHERE  // cross builds read no templates
TEST_F(Sources, ATemplateIsAFunctionByItsName) {
  write("template.yaml",
        "Parameters: {Tokens: {Type: Number, Default: 4}}\n"
        "Resources:\n  Chat:\n    Type: AWS::Serverless::Function\n"
        "    Properties: {CodeUri: ., Handler: tiny.thaw, Timeout: 60, MemorySize: 512}\n");
  write("event.json", R"({"prompt":"Hi","max_tokens":4})");
  const Finished done = emulate("template.yaml", {"--event", path("event.json")});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("[Chat] REPORT"));
  EXPECT_THAT(done.err, HasSubstr("Memory Size: 512 MB"));
  const auto refused = [&](const std::string& text, std::vector<std::string> more) {
    write("bad.yaml", text);
    more.insert(more.end(), {"--event", path("event.json")});
    const Finished answer = emulate("bad.yaml", more);
    EXPECT_EQ(answer.code, 1) << text;
    EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1) << answer.err;
    return answer.err;
  };
  EXPECT_THAT(refused("Resources: [", {}), HasSubstr("line 1"));
  EXPECT_THAT(refused("a: 1", {}), HasSubstr("neither Resources"));
  EXPECT_THAT(refused("Resources: {A: {Type: 'AWS::Serverless::Function', Properties: {Handler: "
                      "none.thaw}}}",
                      {}),
              HasSubstr("no snapshot 'none.thaw'"));
  EXPECT_THAT(refused("Resources: {A: {Type: 'AWS::Serverless::Function', Properties: {Handler: "
                      "tiny.thaw}}}",
                      {"--parameter", "X=1"}),
              HasSubstr("no parameter 'X'"));
}

#endif

TEST_F(Sources, AreRefusedWhereTheyCannotWork) {
  write("lines", "");
  EXPECT_THAT(emulate("tiny.thaw", {"--schedule", "rate(0 minutes)"}).err, HasSubstr("schedule"));
  EXPECT_THAT(emulate("tiny.thaw", {"--queue", path("none")}).err, HasSubstr("none"));
  EXPECT_THAT(emulate("tiny.thaw", {"--watch", path("lines")}).err, HasSubstr("want a folder"));
  EXPECT_EQ(run_thaw({"events", "show", "nothing"}).code, 1);
  EXPECT_EQ(run_thaw({"events", "dance"}).code, 2);
  EXPECT_GE(Json::parse(run_thaw({"events", "list", "--json"}).out).size(), 15u);
}

}  // namespace
}  // namespace thaw::end_to_end
