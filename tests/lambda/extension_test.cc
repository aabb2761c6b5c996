// The extension that brings SIGTERM, against a scripted Extensions API.
#include "runtime/lambda/extension.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "fake_transport.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;

// Answers in order, then lets the caller wait until it is interrupted, as the platform does.
class Platform {
 public:
  explicit Platform(std::vector<Result<http::Response>> answers) : answers_(std::move(answers)) {}

  Connect connect() {
    return [this]() -> Result<std::unique_ptr<Transport>> {
      return std::unique_ptr<Transport>(std::make_unique<Waiting>(*this));
    };
  }
  std::vector<Sent> sent() {
    const std::lock_guard lock(mutex_);
    return sent_;
  }
  // Once so many requests have come.
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return sent_.size() >= count; }));
  }

 private:
  class Waiting final : public Transport {
   public:
    explicit Waiting(Platform& platform) : platform_(platform) {}
    Result<http::Response> request(const http::Call& call) override {
      std::unique_lock lock(platform_.mutex_);
      Sent sent;
      sent.method = call.method;
      sent.target = call.target;
      sent.headers = call.headers;
      sent.body = call.body;
      platform_.sent_.push_back(sent);
      platform_.changed_.notify_all();
      const std::size_t at = platform_.sent_.size() - 1;
      if (at < platform_.answers_.size()) return platform_.answers_[at];
      platform_.changed_.wait(lock, [&] { return interrupted_; });
      return fail(Code::kCancelled, "interrupted");
    }
    Result<http::Response> request(const http::Call& call, const http::Client::Sink&) override {
      return request(call);
    }
    Result<Done> begin_chunked(const http::Call&, std::string_view) override { return Done{}; }
    Result<Done> write(std::string_view) override { return Done{}; }
    Result<http::Response> finish(const http::Fields&) override { return http::Response{}; }
    const http::Response* early_answer() const override { return nullptr; }
    void close() override {}
    void interrupt() override {
      const std::lock_guard lock(platform_.mutex_);
      interrupted_ = true;
      platform_.changed_.notify_all();
    }

   private:
    Platform& platform_;
    bool interrupted_ = false;  // guarded by the platform's mutex
  };

  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::vector<Result<http::Response>> answers_;
  std::vector<Sent> sent_;
};

http::Response registered() {
  return {200, {{"lambda-extension-identifier", "ext-1"}}, R"({"functionName":"f"})", {}};
}
http::Response answered(int code) { return {code, {}, "{}", {}}; }

TEST(Extension, RegistersForNoEventsAndThenWaitsForThem) {
  Platform platform({registered()});
  {
    const auto extension = Extension::start(platform.connect(), system_clock());
    EXPECT_TRUE(extension->wait_registered());
    platform.wait_for(2);
  }
  const auto sent = platform.sent();
  ASSERT_EQ(sent.size(), 2u) << "its end breaks the wait and asks for nothing more";
  EXPECT_EQ(sent[0].method, "POST");
  EXPECT_EQ(sent[0].target, "/2020-01-01/extension/register");
  EXPECT_EQ(sent[0].headers.get("Lambda-Extension-Name"), "thaw-sigterm");
  EXPECT_EQ(sent[0].body, R"({"events":[]})");
  EXPECT_EQ(sent[1].method, "GET");
  EXPECT_EQ(sent[1].target, "/2020-01-01/extension/event/next");
  EXPECT_EQ(sent[1].headers.get("Lambda-Extension-Identifier"), "ext-1");
}

TEST(Extension, StaysOffWhereThereIsNoSuchApi) {
  for (const Result<http::Response>& answer :
       {Result<http::Response>(answered(404)), Result<http::Response>(answered(403)),
        Result<http::Response>(answered(500)), Result<http::Response>(answered(200)),
        Result<http::Response>(fail(Code::kUnavailable, "refused"))}) {
    Platform platform({answer});
    {
      const auto extension = Extension::start(platform.connect(), system_clock());
      EXPECT_FALSE(extension->wait_registered());
    }
    EXPECT_EQ(platform.sent().size(), 1u);
  }
  const auto extension = Extension::start(
      []() -> Result<std::unique_ptr<Transport>> { return fail(Code::kInvalid, "no address"); },
      system_clock());
  EXPECT_FALSE(extension->wait_registered());
}

TEST(Extension, GivesUpOnAPlatformThatDoesNotAnswer) {
  Platform platform({});
  const auto extension = Extension::start(platform.connect(), system_clock());
  EXPECT_FALSE(extension->wait_registered(20ms));
}

TEST(Extension, WaitsAgainAfterAWaitThatBroke) {
  const Result<http::Response> broken = fail(Code::kIo, "the connection broke");
  Platform platform({registered(), broken, broken, answered(200)});
  {
    const auto extension = Extension::start(platform.connect(), system_clock());
    platform.wait_for(5);
  }
  EXPECT_EQ(platform.sent().size(), 5u);
}

TEST(Extension, EndsItsWaitWhereThePlatformRefusesIt) {
  Platform platform({registered(), answered(403)});
  const auto extension = Extension::start(platform.connect(), system_clock());
  platform.wait_for(2);
  EXPECT_TRUE(extension->wait_registered());
}

}  // namespace
}  // namespace thaw::lambda
