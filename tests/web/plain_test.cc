// Requests as plain HTTP platforms send them.
#include "runtime/web/plain.h"

#include <thread>

#include "runtime/web/request_id.h"
#include "web_fixture.h"

namespace thaw::web {
namespace {

using namespace std::chrono_literals;

TEST_F(Web, AnswersEveryRoute) {
  start();
  open();
  const http::Response predicted = request("POST", "/predict?x=1", kPrompt);
  EXPECT_EQ(predicted.status, 200);
  EXPECT_EQ(predicted.headers.get("content-type"), "application/json");
  EXPECT_EQ(handler::at(predicted.body, "/text"), "\"Hello, world\"");
  EXPECT_TRUE(predicted.headers.has("server-timing"));
  const std::string chat = R"({"messages":[{"role":"user","content":"hi"}]})";
  EXPECT_EQ(
      handler::at(request("POST", "/v1/chat/completions", chat).body, "/choices/0/message/content"),
      "\"Hello, world\"");
  EXPECT_EQ(handler::at(request("GET", "/v1/models").body, "/data/0/id"), "\"tiny\"");
  EXPECT_NE(request("GET", "/metrics").body.find("\nthaw_connections "), std::string::npos);
  EXPECT_EQ(request("HEAD", "/healthz").status, 200);
  EXPECT_EQ(request("GET", "/nowhere").status, 404);
  EXPECT_EQ(request("GET", "/predict").status, 405);
  EXPECT_EQ(request("POST", "/predict", "{").status, 400);
  EXPECT_EQ(request("POST", "/predict", kPrompt, {{"Content-Type", "text/plain"}}).status, 415);
  // What an escaped slash stands for is no part of the route.
  EXPECT_EQ(request("POST", "/%70redict", kPrompt).status, 200);
}

TEST_F(Web, TakesADirectEventAtTheRoot) {
  start();
  open();
  EXPECT_EQ(request("POST", "/", kPrompt).status, 200);
  EXPECT_EQ(request("GET", "/").status, 404);
}

TEST_F(Web, AnswersCloudEventsAtTheRoot) {
  start();
  open();
  const http::Response answer = request("POST", "/", R"({"prompt":"hi"})",
                                        {{"ce-specversion", "1.0"},
                                         {"ce-type", "t"},
                                         {"ce-source", "s"},
                                         {"ce-id", "1"},
                                         {"Content-Type", "application/json"}});
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(answer.headers.has("ce-id"));
  EXPECT_EQ(handler::at(answer.body, "/text"), "\"Hello, world\"");
}

TEST_F(Web, StreamsAsItComes) {
  start();
  open();
  std::atomic<int> heard{0};
  generator_.before_piece = [&](std::size_t piece) {
    // Each piece is heard before the next is made.
    while (heard < static_cast<int>(piece)) std::this_thread::yield();
  };
  http::RawPeer client = peer();
  client.say(post("/v1/chat/completions",
                  R"({"stream":true,"messages":[{"role":"user","content":"hi"}]})"));
  const std::string head = client.hear_until("\r\n\r\n");
  EXPECT_NE(head.find("content-type: text/event-stream"), std::string::npos) << head;
  EXPECT_NE(head.find("Transfer-Encoding: chunked"), std::string::npos);
  for (const std::string& piece : generator_.pieces) {
    EXPECT_NE(client.hear_until(cat("\"content\":\"", piece, "\"")), "");
    ++heard;
  }
  EXPECT_NE(client.hear_until("\r\n0\r\n\r\n").find("data: [DONE]\n\n"), std::string::npos);
  // The connection lives on.
  client.say("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_NE(client.hear_all().find("200 OK"), std::string::npos);
}

TEST_F(Web, StreamsToHttp10UntilTheConnectionEnds) {
  start();
  open();
  const std::string body = R"({"prompt":"hi","stream":true})";
  http::RawPeer client = peer();
  client.say(
      cat("POST /v1/completions HTTP/1.0\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
  const std::string answer = client.hear_all();
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("data: [DONE]\n\n")) << answer;
}

TEST_F(Web, NamesARequestAsItsCallerDoes) {
  start();
  open();
  const auto id_of = [&](http::Fields headers) {
    const http::Response answer = request("GET", "/readyz", {}, std::move(headers));
    return std::string(answer.headers.get("x-request-id").value_or(""));
  };
  EXPECT_EQ(id_of({{"X-Request-Id", "abc-1"}, {"X-Call-Id", "call"}}), "abc-1");
  EXPECT_EQ(id_of({{"X-Call-Id", "call"}}), "call");
  // What is no id is not repeated.
  for (const std::string& bad : {std::string("a b"), std::string("a\"b"), std::string(129, 'a')}) {
    const std::string id = id_of({{"X-Request-Id", bad}});
    EXPECT_EQ(id.size(), 36u) << id;
    EXPECT_EQ(id[14], '4') << id;
  }
  EXPECT_NE(id_of({}), id_of({}));
}

TEST_F(Web, LimitsBodies) {
  manifest_.event_bytes_max = 1000;
  start();
  open();
  const http::Response refused = request("POST", "/predict", std::string(1001, ' '));
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(handler::at(refused.body, "/error/code"), "\"request_too_large\"");
  EXPECT_EQ(request("POST", "/predict", std::string(985, ' ') + std::string(kPrompt)).status, 200);
  http::RawPeer chunked = peer();
  chunked.say("POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
  chunked.say(std::string(1001, ' '));
  EXPECT_NE(chunked.hear_until("\r\n").find("413"), std::string::npos);
}

TEST_F(Web, TellsWhatWasWrongWithABody) {
  ServiceOptions options;
  options.server.read_time_max = 200ms;
  start(options);
  open();
  http::RawPeer slow = peer();
  slow.say("POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{");
  const std::string late = slow.hear_all();
  EXPECT_NE(late.find(" 408 "), std::string::npos);
  EXPECT_NE(late.find("request_too_slow"), std::string::npos);
  http::RawPeer broken = peer();
  broken.say(
      "POST /predict HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_NE(broken.hear_until("\r\n\r\n").find("100 Continue"), std::string::npos);
  broken.say("xyz\r\n");
  const std::string bad = broken.hear_all();
  EXPECT_NE(bad.find(" 400 "), std::string::npos);
  EXPECT_NE(bad.find("malformed_request"), std::string::npos);
}

TEST_F(Web, KeepsTheTimeThatARequestMayTake) {
  start();
  open({30s, false});
  std::optional<Clock::Monotonic> deadline;
  generator_.on_generate = [&](const handler::GenerationRequest& asked) {
    deadline = asked.deadline;
  };
  const auto left = [&](http::Fields headers) {
    EXPECT_EQ(request("POST", "/predict", kPrompt, std::move(headers)).status, 200);
    return std::chrono::duration<double>(deadline.value() - system_clock().now()).count();
  };
  EXPECT_NEAR(left({}), 29.9, 0.3);
  EXPECT_NEAR(left({{"X-Timeout", "2s"}}), 1.8, 0.15);
  EXPECT_NEAR(left({{"X-Timeout", "5m"}}), 29.9, 0.3);
  EXPECT_NEAR(left({{"X-Timeout", "soon"}}), 29.9, 0.3);
}

TEST(GoDuration, ReadsWhatGoWrites) {
  EXPECT_EQ(go_duration("250ms"), 250ms);
  EXPECT_EQ(go_duration("1m30s"), 90s);
  EXPECT_EQ(go_duration("1.5h"), 90min);
  EXPECT_EQ(go_duration("1500us"), 2ms);
  EXPECT_EQ(go_duration("0s"), 0s);
  for (const char* bad :
       {"", "5", "s", "-1s", "1x", "1s2", "1e3s", "25h", "999999999999h", "nans"}) {
    EXPECT_FALSE(go_duration(bad).has_value()) << bad;
  }
}

TEST(RequestId, IsShortAndHarmless) {
  EXPECT_TRUE(is_request_id("1-5759e988-bd862e3fe1be46a994272793"));
  EXPECT_TRUE(is_request_id(std::string(kRequestIdBytesMax, 'x')));
  EXPECT_FALSE(is_request_id(std::string(kRequestIdBytesMax + 1, 'x')));
  for (const char* bad : {"", "a b", "a\nb", "a\"", "<a>", "\xc3\xa9"}) {
    EXPECT_FALSE(is_request_id(bad)) << bad;
  }
}

}  // namespace
}  // namespace thaw::web
