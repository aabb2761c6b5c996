// A running emulator on a free port with one function, "chat", whose process is fake_bootstrap.cc.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "runtime/emulator/emulator.h"
#include "runtime/http/client.h"

namespace thaw::emulator {

using Json = nlohmann::json;

inline constexpr std::string_view kInvoke = "/2015-03-31/functions/chat/invocations";
inline constexpr std::string_view kStream =
    "/2021-11-15/functions/chat/response-streaming-invocations";

class EmulatorTest : public testing::Test {
 protected:
  EmulatorTest() {
    options.bootstrap = FAKE_BOOTSTRAP;
    options.port = 0;
    options.init_max = std::chrono::seconds(5);
    function.name = "chat";
    function.snapshot = testing::TempDir() + "thaw_fake.thaw";
    function.memory_mb = 512;
    function.timeout = std::chrono::seconds(60);  // for the largest events under a sanitizer
    std::ofstream(function.snapshot) << "x";
    std::string state = testing::TempDir() + "thaw_emulator_XXXXXX";
    options.state_directory = ::mkdtemp(state.data());
    options.retry_scale = 0.001;
  }
  ~EmulatorTest() override {
    emulator.reset();
    std::filesystem::remove_all(options.state_directory);
  }
  void start() {
    options.functions.insert(options.functions.begin(), function);
    auto started = Emulator::start(options, system_clock(), [this](std::string_view line) {
      const std::lock_guard lock(mutex);
      log_ += line;
      log_ += '\n';
    });
    ASSERT_TRUE(started) << started.error().message;
    emulator = std::move(*started);
  }
  std::string log() {
    const std::lock_guard lock(mutex);
    return log_;
  }
  // Whether the log says `text` soon: the function's own lines come when they come.
  bool logged(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (log().find(text) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  std::unique_ptr<http::Client> client() { return *http::Client::create(emulator->authority()); }

  static http::Response send(http::Client& client, std::string_view method, std::string_view target,
                             std::string_view body, http::Fields headers = {}) {
    http::Call call;
    call.method = method;
    call.target = target;
    call.body = body;
    call.headers = std::move(headers);
    call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    call.body_bytes_max = 32u << 20;
    auto answer = client.request(call);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : http::Response{};
  }
  http::Response post(std::string_view target, std::string_view body, http::Fields headers = {}) {
    return send(*client(), "POST", target, body, std::move(headers));
  }
  http::Response invoke(std::string_view event, http::Fields headers = {}) {
    return post(kInvoke, event, std::move(headers));
  }
  // An invocation that fails, as AWS shows it.
  Json failure(const http::Response& answer) {
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.get("X-Amz-Function-Error"), "Unhandled") << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
  void expect_aws_error(const http::Response& answer, int status, std::string_view type) {
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.headers.get("x-amzn-ErrorType"), type);
    EXPECT_TRUE(answer.headers.has("x-amzn-RequestId"));
    const Json body = Json::parse(answer.body, nullptr, false);
    ASSERT_TRUE(body.is_object()) << answer.body;
    EXPECT_TRUE(body.contains("Type"));
    EXPECT_TRUE(body.contains("message") || body.contains("Message"));
  }

  Options options;
  FunctionOptions function;
  std::mutex mutex;
  std::string log_;
  std::unique_ptr<Emulator> emulator;
};

}  // namespace thaw::emulator
