// A function behind a port: a generator that says what it is told to, a handler, a service.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/str.h"
#include "runtime/http/client.h"
#include "runtime/web/plain.h"
#include "runtime/web/service.h"
#include "tests/handler/fakes.h"
#include "tests/http/raw_peer.h"

namespace thaw::web {

class Web : public testing::Test {
 protected:
  void start(ServiceOptions options = {}) {
    auto service = Service::start(options);
    ASSERT_TRUE(service.has_value()) << service.error().message;
    service_ = std::move(*service);
    handler::HandlerOptions with;
    with.gate = service_.get();
    handler_ = std::make_unique<handler::Handler>(generator_, manifest_, system_clock(), with);
  }
  void open(const PlainOptions& options = {}) {
    service_->open(plain_answer(*handler_, manifest_, system_clock(), options), nullptr);
  }
  ~Web() override {
    if (service_ != nullptr) service_->drain();
  }

  http::Response request(std::string_view method, std::string_view target,
                         std::string_view body = {}, http::Fields headers = {}) {
    auto client = http::Client::create(service_->authority());
    EXPECT_TRUE(client.has_value());
    http::Call call;
    call.method = method;
    call.target = target;
    call.body = body;
    call.headers = std::move(headers);
    call.deadline = system_clock().now() + std::chrono::seconds(10);
    auto answer = (*client)->request(call);
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
    return answer ? std::move(*answer) : http::Response{};
  }
  http::RawPeer peer() { return http::RawPeer::connect(service_->authority()); }

  static std::string post(std::string_view path, std::string_view body,
                          std::string_view more = "") {
    return cat("POST ", path, " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n", more,
               "Content-Length: ", body.size(), "\r\n\r\n", body);
  }

  handler::FakeGenerator generator_;
  handler::Manifest manifest_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<handler::Handler> handler_;
};

inline constexpr std::string_view kPrompt = R"({"prompt":"hi"})";

}  // namespace thaw::web
