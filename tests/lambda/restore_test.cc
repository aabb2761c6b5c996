// The wait for a restore, against each answer of the platform.
#include "runtime/lambda/restore.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loop_fixture.h"

namespace thaw::lambda {
namespace {

class RestoreTest : public testing::Test {
 protected:
  Result<Done> wait() {
    return wait_for_restore(
        [this]() -> Result<std::unique_ptr<Transport>> {
          return std::unique_ptr<Transport>(std::make_unique<FakeTransport>(script));
        },
        [this]() -> Result<Done> {
          ++restored;
          EXPECT_EQ(script.sent.size(), asked) << "only once the platform has said so";
          return hook;
        });
  }

  Script script;
  Result<Done> hook = Done{};
  int restored = 0;
  std::size_t asked = 1;
};

TEST_F(RestoreTest, MakesThingsAnewOnceThePlatformSaysGo) {
  script.answers = {status(200)};
  EXPECT_TRUE(wait());
  EXPECT_EQ(restored, 1);
  EXPECT_EQ(script.sent[0].method, "GET");
  EXPECT_EQ(script.sent[0].target, "/2018-06-01/runtime/restore/next");
}

TEST_F(RestoreTest, AsksAgainOverAConnectionThatDidNotOutliveTheSnapshot) {
  script.answers = {broken(), status(200)};
  asked = 2;
  EXPECT_TRUE(wait());
  EXPECT_EQ(restored, 1);
  script.answers = {broken(), broken()};
  EXPECT_EQ(wait().error().code, Code::kIo);
  EXPECT_EQ(restored, 1);
}

TEST_F(RestoreTest, ReportsWhatCannotBeMadeAnew) {
  hook = fail(Code::kIo, "the map: gone");
  script.answers = {status(200), status(202)};
  EXPECT_EQ(wait().error().message, "the map: gone");
  ASSERT_EQ(script.sent.size(), 2u);
  EXPECT_EQ(script.sent[1].method, "POST");
  EXPECT_EQ(script.sent[1].target, "/2018-06-01/runtime/restore/error");
  EXPECT_EQ(script.sent[1].headers.get(kErrorTypeHeader), "Runtime.AfterRestoreError");
  EXPECT_EQ(nlohmann::json::parse(script.sent[1].body)["errorMessage"], "the map: gone");
  for (const auto& answer :
       {Result<http::Response>(status(500)), Result<http::Response>(broken())}) {
    script = {};
    script.answers = {status(200), answer};
    EXPECT_EQ(wait().error().message, "the map: gone") << "whatever becomes of the report";
  }
}

TEST_F(RestoreTest, GoesOnWhereThePlatformTakesNoSnapshots) {
  for (const int code : {403, 404}) {
    script = {};
    script.answers = {status(code)};
    EXPECT_TRUE(wait()) << code;
  }
  EXPECT_EQ(restored, 0);
}

TEST_F(RestoreTest, EndsWhereThePlatformWantsItTo) {
  script.answers = {status(500)};
  EXPECT_EQ(wait().error().code, Code::kUnsupported);
  script.answers = {fail(Code::kUnavailable, "refused")};
  EXPECT_EQ(wait().error().code, Code::kUnavailable);
  EXPECT_EQ(restored, 0);
}

}  // namespace
}  // namespace thaw::lambda
