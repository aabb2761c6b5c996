// A function URL on the loopback, with real processes: buffered, streamed, and what goes wrong.
#include <thread>
#include <vector>

#include "emulator_fixture.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class UrlTest : public EmulatorTest {
 protected:
  http::Response fetch(std::string_view method, std::string_view target, std::string_view body,
                       http::Fields headers = {{"Content-Type", "application/json"}}) {
    return send(*client(), method, target, body, std::move(headers));
  }
  // What came, and whether it came to a proper end.
  struct Streamed {
    int status = 0;
    http::Fields headers;
    std::string text;
    bool whole = false;
    std::chrono::nanoseconds spread{};
  };
  Streamed stream(std::string_view body) {
    auto caller = client();
    http::Call call;
    call.method = "POST";
    call.target = "/any";
    call.body = body;
    call.headers = {{"Content-Type", "application/json"}};
    Streamed out;
    std::vector<std::chrono::steady_clock::time_point> times;
    const auto answer =
        caller->request(call, {[&](int status, const http::Fields& headers) -> Result<Done> {
                                 out.status = status;
                                 out.headers = headers;
                                 return Done{};
                               },
                               [&](std::string_view part) -> Result<Done> {
                                 times.push_back(std::chrono::steady_clock::now());
                                 out.text += part;
                                 return Done{};
                               }});
    out.whole = answer.has_value();
    if (!times.empty()) out.spread = times.back() - times.front();
    return out;
  }
};

TEST_F(UrlTest, TurnsARequestIntoAnEventAndTheAnswerBack) {
  start();
  const auto answer = fetch("PUT", "/some/path?a=1", R"({"x":1})",
                            {{"Content-Type", "application/json"}, {"Cookie", "c=d"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.get("x-fake"), "1");
  EXPECT_EQ(answer.headers.get("set-cookie"), "a=1");
  EXPECT_TRUE(answer.headers.has("x-amzn-RequestId"));
  const Json event = Json::parse(answer.body)["event"];
  EXPECT_EQ(event["rawPath"], "/some/path");
  EXPECT_EQ(event["rawQueryString"], "a=1");
  EXPECT_EQ(event["cookies"], Json::parse(R"(["c=d"])"));
  EXPECT_EQ(event["requestContext"]["http"]["method"], "PUT");
  EXPECT_EQ(event["body"], R"({"x":1})");
}

TEST_F(UrlTest, IsTheRootOfTheOnlyFunctionAndApartForEachOfMany) {
  start();
  const auto path_of = [&](std::string_view target) {
    return Json::parse(fetch("GET", target, "").body)["event"]["rawPath"];
  };
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("/url/chat"), "/");
  EXPECT_EQ(path_of("/url/chat/a/b"), "/a/b");
  EXPECT_EQ(path_of("/url/other/a"), "/url/other/a") << "not a function's name: a path like others";
  emulator.reset();
  FunctionOptions second = function;
  second.name = "code";
  options.functions.push_back(second);
  options.functions.erase(options.functions.begin());
  start();
  EXPECT_EQ(path_of("/url/code/x"), "/x");
  const auto nowhere = fetch("GET", "/x", "");
  expect_aws_error(nowhere, 404, "ResourceNotFoundException");
  EXPECT_THAT(nowhere.body, HasSubstr("/url/chat/ /url/code/"));
}

TEST_F(UrlTest, StreamsPartsAsTheyCome) {
  start();
  fetch("GET", "/", "");  // warm
  const Streamed out = stream(R"({"do":"stream","parts":4,"pause_ms":100})");
  EXPECT_EQ(out.status, 201);
  EXPECT_EQ(out.headers.get("x-fake"), "yes");
  EXPECT_EQ(out.headers.get("set-cookie"), "a=b");
  EXPECT_EQ(out.headers.get("content-type"), "text/plain");
  EXPECT_EQ(out.text, "part 0\npart 1\npart 2\npart 3\n");
  EXPECT_TRUE(out.whole);
  EXPECT_GT(out.spread, 200ms) << "held back";
}

TEST_F(UrlTest, BreaksAStreamOffThatFailsInTheMiddle) {
  function.timeout = 1s;
  start();
  for (const char* then : {"fail", "crash", "hang"}) {
    const Streamed out = stream(std::string(R"({"do":"stream","then":")") + then + "\"}");
    EXPECT_EQ(out.status, 201) << then;
    EXPECT_EQ(out.text, "part 0\npart 1\npart 2\n") << "what came before is not lost";
    EXPECT_FALSE(out.whole) << then << ": it must not look like an end";
  }
  EXPECT_THAT(log(), HasSubstr("Function.Broken in the middle of a stream"));
  EXPECT_THAT(log(), HasSubstr("Runtime.ExitError in the middle of a stream"));
  EXPECT_THAT(log(), HasSubstr("Sandbox.Timedout in the middle of a stream"));
}

TEST_F(UrlTest, HoldsAStreamBackInBufferedMode) {
  function.url_streams = false;
  start();
  const auto answer = fetch("POST", "/", R"({"do":"stream"})");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers.get("x-fake"), "yes");
  EXPECT_TRUE(answer.headers.has("content-length"));
  EXPECT_EQ(answer.body, "part 0\npart 1\npart 2\n");
  EXPECT_EQ(fetch("POST", "/", R"({"do":"stream","then":"fail"})").status, 502);
}

TEST_F(UrlTest, AnswersAFailureOrWhatIsNoAnswerWith502) {
  start();
  for (const char* body :
       {R"({"do":"error"})", R"({"do":"abort"})", R"({"do":"bad prelude"})",
        R"({"do":"raw","body":"no json"})", R"({"do":"raw","body":"{\"statusCode\":\"x\"}"})",
        R"({"do":"raw","body":"{\"statusCode\":200,\"headers\":{\"a\":\"\\r\\n\"}}"})"}) {
    const auto answer = fetch("POST", "/", body);
    EXPECT_EQ(answer.status, 502) << body;
    EXPECT_EQ(answer.body, "Internal Server Error");
  }
}

TEST_F(UrlTest, CountsTheEventAndNotTheBodyAgainstTheLimit) {
  start();
  const std::string body(5u << 20, 'x');
  expect_aws_error(fetch("POST", "/", body, {{"Content-Type", "image/png"}}), 413,
                   "RequestTooLargeException");
  EXPECT_EQ(fetch("POST", "/", body, {{"Content-Type", "text/plain"}}).status, 200);
  expect_aws_error(fetch("POST", "/", std::string((6u << 20) + 1, 'x'), {}), 413,
                   "RequestTooLargeException");
}

TEST_F(UrlTest, SurvivesACallerThatGoesAway) {
  start();
  const Json pid = Json::parse(fetch("GET", "/", "").body)["pid"];
  {
    auto caller = client();
    http::Call call;
    call.method = "POST";
    call.target = "/";
    call.body = R"({"do":"stream","parts":4,"pause_ms":100})";
    call.headers = {{"Content-Type", "application/json"}};
    const auto answer = caller->request(call, {{}, [](std::string_view) -> Result<Done> {
                                                 return fail(Code::kCancelled, "enough");
                                               }});
    EXPECT_FALSE(answer);
  }
  std::this_thread::sleep_for(600ms);
  EXPECT_EQ(Json::parse(fetch("GET", "/", "").body)["pid"], pid) << "the function went on";
}

}  // namespace
}  // namespace thaw::emulator
