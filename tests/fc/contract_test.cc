// Function Compute's contract, as its proxy speaks it.
#include "runtime/fc/contract.h"

#include <future>
#include <mutex>

#include "tests/web/web_fixture.h"

namespace thaw::fc {
namespace {

using namespace std::chrono_literals;

class Fc : public web::Web {
 protected:
  Fc() {
    start();
    service_->open(answer(*handler_, manifest_, *service_, system_clock(),
                          [this](std::string_view line) {
                            const std::lock_guard lock(mutex_);
                            lines_ += cat(line, "\n");
                          }),
                   nullptr);
  }
  http::Response call(std::string_view method, std::string_view path, std::string_view control,
                      std::string_view body = {}, http::Fields more = {}) {
    more.add("x-fc-request-id", "1-abc");
    if (!control.empty()) more.add("x-fc-control-path", control);
    return request(method, path, body, std::move(more));
  }
  http::Response invoke(std::string_view event, http::Fields more = {}) {
    return call("POST", "/invoke", "/invoke", event, std::move(more));
  }
  void expect_lines(const std::string& wanted) {
    service_->drain();
    EXPECT_EQ(lines_, wanted);
  }
  static std::string status_of(const http::Response& response) {
    return cat(response.status, " ", response.headers.get("x-fc-status").value_or("none"));
  }

  std::mutex mutex_;  // guards lines_
  std::string lines_;
};

TEST_F(Fc, InvokesWithAnEvent) {
  const http::Response answer = invoke(web::kPrompt);
  EXPECT_EQ(status_of(answer), "200 200");
  EXPECT_EQ(answer.headers.get("content-type"), "application/json");
  EXPECT_EQ(handler::at(answer.body, "/text"), "\"Hello, world\"");
  expect_lines("FC Invoke Start RequestId: 1-abc\nFC Invoke End RequestId: 1-abc\n");
}

TEST_F(Fc, FailsAsTheContractHasIt) {
  const http::Response answer = invoke(R"({"what":1})");
  EXPECT_EQ(status_of(answer), "404 404");
  EXPECT_EQ(handler::at(answer.body, "/errorType"), "\"Function.UnsupportedEvent\"");
  EXPECT_NE(handler::at(answer.body, "/errorMessage"), "");
  EXPECT_EQ(status_of(invoke("not json")), "404 404");
  generator_.error = fail(Code::kIo, "evaluate: the disk is gone");
  EXPECT_EQ(handler::at(invoke(web::kPrompt).body, "/errorType"), "\"Function.GenerationFailed\"");
  const std::string failed =
      "FC Invoke Start RequestId: 1-abc\n"
      "FC Invoke End RequestId: 1-abc, Error: Unhandled function error\n";
  expect_lines(failed + failed + failed);
}

TEST_F(Fc, RefusesEventsThatAreTooLarge) {
  manifest_.event_bytes_max = 1000;
  EXPECT_EQ(
      handler::at(invoke(cat(R"({"prompt":")", std::string(1000, 'x'), "\"}")).body, "/errorType"),
      "\"Function.RequestTooLarge\"");
  const http::Response answer = invoke(std::string(3u << 20, ' '));
  EXPECT_EQ(status_of(answer), "404 404");
  EXPECT_EQ(handler::at(answer.body, "/errorType"), "\"Function.RequestTooLarge\"");
}

TEST_F(Fc, PassesHttpTriggersThrough) {
  const auto http = [&](std::string_view method, std::string_view path,
                        std::string_view body = {}) {
    return call(method, path, "/http-invoke", body);
  };
  const http::Response answer = http("POST", "/v1/completions?x=1", web::kPrompt);
  EXPECT_EQ(status_of(answer), "200 200");
  EXPECT_EQ(answer.headers.get("x-request-id"), "1-abc");
  EXPECT_EQ(handler::at(answer.body, "/choices/0/text"), "\"Hello, world\"");
  EXPECT_EQ(status_of(http("GET", "/healthz")), "200 200");
  // A client's mistakes are its own, and paths of the contract's have no meaning here.
  EXPECT_EQ(status_of(http("POST", "/predict", "{")), "400 200");
  EXPECT_EQ(status_of(http("POST", "/invoke", web::kPrompt)), "404 200");
  EXPECT_EQ(status_of(http("POST", "/initialize")), "404 200");
  manifest_.event_bytes_max = 10;
  EXPECT_EQ(http("POST", "/predict", web::kPrompt).status, 413);
  manifest_.event_bytes_max = 1000;
  generator_.error = fail(Code::kIo, "evaluate: the disk is gone");
  EXPECT_EQ(status_of(http("POST", "/predict", web::kPrompt)), "500 404");
}

TEST_F(Fc, StreamsEventsAndHttp) {
  http::RawPeer event = peer();
  event.say(post("/invoke", R"({"prompt":"hi","stream":true})",
                 "x-fc-control-path: /invoke\r\nx-fc-request-id: s1\r\n"));
  const std::string lines = event.hear_until("\r\n0\r\n\r\n");
  EXPECT_NE(lines.find("content-type: application/x-ndjson\r\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("x-fc-status: 200\r\n"), std::string::npos);
  EXPECT_NE(lines.find("\"finish_reason\":\"stop\""), std::string::npos);
  http::RawPeer chat = peer();
  chat.say(post("/v1/chat/completions",
                R"({"stream":true,"messages":[{"role":"user","content":"hi"}]})",
                "x-fc-control-path: /http-invoke\r\n"));
  const std::string sse = chat.hear_until("\r\n0\r\n\r\n");
  EXPECT_NE(sse.find("content-type: text/event-stream; charset=utf-8\r\n"), std::string::npos)
      << sse;
  EXPECT_NE(sse.find("data: [DONE]"), std::string::npos);
}

TEST_F(Fc, AnswersItsHooks) {
  EXPECT_EQ(status_of(call("POST", "/initialize", "/initialize")), "200 200");
  EXPECT_EQ(status_of(call("GET", "/pre-freeze", "/pre-freeze")), "200 200");
  EXPECT_EQ(status_of(invoke(web::kPrompt)), "200 200") << "after a freeze";
  EXPECT_EQ(status_of(call("GET", "/pre-stop", "/pre-stop")), "200 200");
  EXPECT_EQ(invoke(web::kPrompt).status, 503) << "after pre-stop";
  expect_lines(
      "FC Initialize Start RequestId: 1-abc\nFC Initialize End RequestId: 1-abc\n"
      "FC PreFreeze Start RequestId: 1-abc\nFC PreFreeze End RequestId: 1-abc\n"
      "FC Invoke Start RequestId: 1-abc\nFC Invoke End RequestId: 1-abc\n"
      "FC PreStop Start RequestId: 1-abc\nFC PreStop End RequestId: 1-abc\n"
      "FC Invoke Start RequestId: 1-abc\nFC Invoke End RequestId: 1-abc\n");
}

TEST_F(Fc, PreStopWaitsForWhatIsInFlight) {
  std::promise<void> reached, go;
  generator_.before_piece = [&](std::size_t piece) {
    if (piece != 1) return;
    reached.set_value();
    go.get_future().wait();
  };
  auto answer = std::async(std::launch::async, [&] { return invoke(web::kPrompt); });
  reached.get_future().wait();
  auto stopped =
      std::async(std::launch::async, [&] { return call("GET", "/pre-stop", "/pre-stop"); });
  while (!service_->closed()) std::this_thread::yield();
  EXPECT_EQ(stopped.wait_for(50ms), std::future_status::timeout);
  go.set_value();
  EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(stopped.get().status, 200);
}

TEST_F(Fc, KnowsItsCallsByPathWhereNothingElseSaysThem) {
  EXPECT_EQ(call("POST", "/initialize", "").status, 200);
  EXPECT_EQ(call("POST", "/invoke", "", web::kPrompt).status, 200);
  EXPECT_EQ(call("GET", "/pre-freeze", "").status, 200);
  EXPECT_EQ(call("GET", "/invoke", "").status, 404) << "not a call: no such path of the function";
  // A health check has no id, and leaves no lines.
  lines_.clear();
  EXPECT_EQ(request("GET", "/healthz").status, 200);
  expect_lines("");
}

TEST_F(Fc, KeepsTheFunctionsTimeLimit) {
  std::optional<Clock::Monotonic> deadline;
  generator_.on_generate = [&](const handler::GenerationRequest& asked) {
    deadline = asked.deadline;
  };
  EXPECT_EQ(invoke(web::kPrompt, {{"x-fc-function-timeout", "60"}}).status, 200);
  ASSERT_TRUE(deadline.has_value());
  EXPECT_NEAR(std::chrono::duration<double>(*deadline - system_clock().now()).count(), 59.5, 0.4);
  for (const char* bad : {"", "0", "-3", "soon", "1e99"}) {
    EXPECT_EQ(invoke(web::kPrompt, {{"x-fc-function-timeout", bad}}).status, 200);
    EXPECT_FALSE(deadline.has_value()) << bad;
  }
}

TEST(FcFailure, IsWhatEveryCallHears) {
  auto service = web::Service::start({});
  ASSERT_TRUE(service.has_value());
  std::string lines;
  (*service)->open(failure(fail(Code::kNotFound, "find the snapshot: none is there"),
                           [&](std::string_view line) { lines += cat(line, "\n"); }),
                   nullptr);
  auto client = http::Client::create((*service)->authority());
  http::Call call;
  call.method = "POST";
  call.target = "/initialize";
  call.headers.add("x-fc-request-id", "r");
  call.headers.add("x-fc-control-path", "/initialize");
  const auto answer = (*client)->request(call);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->headers.get("x-fc-status"), "404");
  EXPECT_EQ(handler::at(answer->body, "/errorMessage"), "\"find the snapshot: none is there\"");
  (*service)->drain();
  EXPECT_EQ(lines,
            "FC Initialize Start RequestId: r\n"
            "FC Initialize End RequestId: r, Error: Unhandled function error\n");
}

}  // namespace
}  // namespace thaw::fc
