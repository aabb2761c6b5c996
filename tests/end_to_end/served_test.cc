// Both programs behind a port, as a platform or a person starts them.
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;
using Program = Served::Program;

http::Response post(const std::string& authority, const std::string& target,
                    const std::string& body) {
  auto client = http::Client::create(authority);
  http::Call call;
  call.method = "POST";
  call.target = target;
  call.headers.add("content-type", "application/json");
  call.body = body;
  auto answer = (*client)->request(call);
  EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
  return answer ? *answer : http::Response{};
}

class Serving : public testing::TestWithParam<Program> {};

TEST_P(Serving, AnswersManyAtOnceEachAsAlone) {
  const std::string snapshot = snapshot_of(tiny_model());
  Served served(GetParam(), snapshot);
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 12; ++i) {
    answers.push_back(std::async(std::launch::async, [&served, i] {
      const json request = {{"prompt", cat("number ", i % 4)}, {"max_tokens", 20}, {"seed", 5}};
      const http::Response answer = post(served.authority(), "/predict", request.dump());
      EXPECT_EQ(answer.status, 200) << answer.body;
      return json::parse(answer.body).value("text", "");
    }));
  }
  std::vector<std::string> texts;
  for (auto& answer : answers) texts.push_back(answer.get());
  for (std::size_t i = 0; i < 4; ++i) {
    const Finished alone =
        run_thaw({"run", snapshot, cat("number ", i), "-n", "20", "--seed", "5", "--json"});
    const std::string text = json::parse(alone.out)["text"];
    EXPECT_FALSE(text.empty());
    for (std::size_t k = i; k < texts.size(); k += 4) EXPECT_EQ(texts[k], text) << k;
  }
  const http::Response chat =
      post(served.authority(), "/v1/chat/completions",
           R"({"stream":true,"max_tokens":4,"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_TRUE(chat.body.ends_with("data: [DONE]\n\n")) << chat.body;
  EXPECT_EQ(served.stop(), 0) << served.log();
}

TEST_P(Serving, FinishesWhatIsInFlightAtSigterm) {
  Served served(GetParam(), snapshot_of(tiny_model()));
  std::promise<void> begun;
  auto answer = std::async(std::launch::async, [&] {
    auto client = http::Client::create(served.authority());
    http::Call call;
    call.method = "POST";
    call.target = "/predict";
    call.body = R"({"prompt":"hello","max_tokens":300,"stream":true,"seed":1})";
    http::Client::Sink sink;
    std::string all;
    bool first = true;
    sink.body = [&](std::string_view part) {
      if (std::exchange(first, false)) begun.set_value();
      all += part;
      return Result<Done>(Done{});
    };
    EXPECT_TRUE((*client)->request(call, sink).has_value());
    return all;
  });
  begun.get_future().wait();
  EXPECT_EQ(served.stop(), 0);
  EXPECT_NE(answer.get().find("\"finish_reason\""), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Programs, Serving, testing::Values(Program::kThaw, Program::kBootstrap),
                         [](const auto& info) {
                           return info.param == Program::kThaw ? "Thaw" : "Bootstrap";
                         });

TEST(Serve, PlaysFunctionCompute) {
  Served served(Program::kBootstrap, snapshot_of(tiny_model()), {"FC_FUNCTION_NAME=f"});
  const auto call = [&](const char* path, const std::string& body) {
    auto client = http::Client::create(served.authority());
    http::Call call;
    call.method = "POST";
    call.target = path;
    call.headers.add("x-fc-request-id", "fc-1");
    call.headers.add("x-fc-control-path", path);
    call.body = body;
    auto answer = (*client)->request(call);
    EXPECT_TRUE(answer.has_value());
    return answer ? std::move(*answer) : http::Response{};
  };
  EXPECT_EQ(call("/initialize", "").status, 200);
  const http::Response answer = call("/invoke", R"({"prompt":"hi","max_tokens":3})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.get("x-fc-status"), "200");
  EXPECT_NE(json::parse(answer.body).value("text", ""), "");
  EXPECT_EQ(served.output(),
            "FC Initialize Start RequestId: fc-1\nFC Initialize End RequestId: fc-1\n"
            "FC Invoke Start RequestId: fc-1\nFC Invoke End RequestId: fc-1\n");
  EXPECT_EQ(served.stop(), 0);
}

TEST(Serve, PrintsWhereItIsAndHowToAsk) {
  Served served(Program::kThaw, snapshot_of(tiny_model()));
  const std::string log = served.log();
  EXPECT_NE(log.find(" on http://" + served.authority()), std::string::npos) << log;
  EXPECT_NE(log.find("curl -N http://" + served.authority() + "/v1/chat/completions"),
            std::string::npos);
  EXPECT_EQ(served.stop(SIGINT), 0);
}

TEST(Serve, SaysWhyItCannot) {
  const Finished no_file = run_thaw({"serve", "/nowhere.thaw", "--port", "0"});
  EXPECT_EQ(no_file.code, 1);
  EXPECT_NE(no_file.err.find("/nowhere.thaw"), std::string::npos) << no_file.err;
  Served first(Program::kThaw, snapshot_of(tiny_model()));
  const std::string port = first.authority().substr(first.authority().rfind(':') + 1);
  const Finished taken = run_thaw({"serve", snapshot_of(tiny_model()), "--port", port});
  EXPECT_EQ(taken.code, 1);
  EXPECT_NE(taken.err.find(port), std::string::npos) << taken.err;
  EXPECT_EQ(run_thaw({"serve", snapshot_of(tiny_model()), "--concurrency", "0"}).code, 2);
}

}  // namespace
}  // namespace thaw::end_to_end
