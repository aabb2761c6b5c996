#include "runtime/emulator/telemetry.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/http/server.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

Json sound() {
  return {{"schemaVersion", "2022-12-13"},
          {"types", {"platform", "function"}},
          {"destination", {{"protocol", "HTTP"}, {"URI", "http://sandbox.localdomain:8080/logs"}}}};
}

TEST(Subscription, IsReadWithAwssDefaults) {
  const auto asked = parse_subscription(sound().dump());
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(asked->authority, "127.0.0.1:8080");
  EXPECT_EQ(asked->target, "/logs");
  EXPECT_EQ(asked->types(), (std::vector<std::string>{"platform", "function"}));
  EXPECT_EQ(asked->items_max, 10'000u);
  EXPECT_EQ(asked->bytes_max, 262'144u);
  EXPECT_EQ(asked->wait_max, 1000ms);
  Json buffered = sound();
  buffered["buffering"] = {{"maxItems", 1000}, {"maxBytes", 1048576}, {"timeoutMs", 25}};
  const auto other = parse_subscription(buffered.dump());
  ASSERT_TRUE(other);
  EXPECT_EQ(other->items_max, 1000u);
  EXPECT_EQ(other->wait_max, 25ms);
}

TEST(Subscription, IsRefusedWhereItMakesNoSense) {
  std::vector<std::string> bad = {"", "[]", "{"};
  const auto add = [&](const char* pointer, const Json& value) {
    Json one = sound();
    one[Json::json_pointer(pointer)] = value;
    bad.push_back(one.dump());
  };
  add("/schemaVersion", "2020-01-01");
  add("/types", Json::array());
  add("/types", {"secrets"});
  add("/types", "platform");
  add("/destination", "here");
  add("/destination/protocol", "TCP");
  add("/destination/URI", 7);
  add("/destination/URI", "https://127.0.0.1/");
  add("/destination/URI", "http://elsewhere.example:80/");
  add("/buffering", 1);
  add("/buffering", {{"maxItems", 999}});
  add("/buffering", {{"maxItems", 10001}});
  add("/buffering", {{"maxBytes", 262143}});
  add("/buffering", {{"maxBytes", -1}});
  add("/buffering", {{"timeoutMs", 24}});
  add("/buffering", {{"timeoutMs", "1000"}});
  for (const std::string& text : bad) {
    const auto asked = parse_subscription(text);
    ASSERT_FALSE(asked) << text;
    EXPECT_EQ(asked.error().code, Code::kInvalid);
  }
}

// A subscriber that keeps what it is sent, and takes nothing while `deaf`.
class Listener {
 public:
  Listener() {
    auto started =
        http::Server::start({}, [this](http::Request& request, http::ResponseWriter& writer) {
          const auto body = request.read_all();
          std::unique_lock lock(mutex_);
          if (deaf_) {
            lock.unlock();
            (void)writer.abort();
            return;
          }
          if (body) batches_.push_back(Json::parse(*body));
          changed_.notify_all();
          lock.unlock();
          (void)writer.send(200, {}, "");
        });
    server_ = std::move(*started);
  }
  Subscription subscription() const {
    Subscription asked;
    asked.platform = asked.function = true;
    asked.authority = server_->authority();
    asked.target = "/";
    asked.wait_max = 25ms;
    return asked;
  }
  std::vector<Json> wait_for(std::size_t items) {
    std::unique_lock lock(mutex_);
    const auto count = [&] {
      std::size_t sum = 0;
      for (const Json& batch : batches_) sum += batch.size();
      return sum;
    };
    EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return count() >= items; })) << count();
    return batches_;
  }
  void set_deaf(bool deaf) {
    const std::lock_guard lock(mutex_);
    deaf_ = deaf;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool deaf_ = false;
  std::vector<Json> batches_;
  std::unique_ptr<http::Server> server_;
};

TEST(Telemetry, SendsWhatWasSaidBeforeAndAfterASubscription) {
  Listener listener;
  Telemetry telemetry(system_clock());
  telemetry.publish(Telemetry::Source::kPlatform, "platform.initStart", R"({"phase":"init"})");
  telemetry.publish(Telemetry::Source::kExtension, "extension", R"("not asked for")");
  ASSERT_TRUE(telemetry.subscribe("one", listener.subscription()));
  telemetry.publish(Telemetry::Source::kFunction, "function", R"("hello")");
  const auto batches = listener.wait_for(2);
  std::vector<std::string> types;
  for (const Json& batch : batches) {
    for (const Json& item : batch) types.push_back(item["type"]);
  }
  EXPECT_EQ(types, (std::vector<std::string>{"platform.initStart", "function"}));
}

TEST(Telemetry, KeepsNothingForLateSubscribersOnceInitIsOver) {
  Listener listener;
  Telemetry telemetry(system_clock());
  telemetry.publish(Telemetry::Source::kFunction, "function", R"("early")");
  telemetry.close();
  EXPECT_FALSE(telemetry.wanted());
  ASSERT_TRUE(telemetry.subscribe("late", listener.subscription()));
  EXPECT_TRUE(telemetry.wanted());
  telemetry.publish(Telemetry::Source::kFunction, "function", R"("later")");
  EXPECT_EQ(listener.wait_for(1)[0][0]["record"], "later");
}

TEST(Telemetry, SendsABatchAsSoonAsItIsFull) {
  Listener listener;
  Telemetry telemetry(system_clock());
  Subscription asked = listener.subscription();
  asked.wait_max = 30s;
  asked.items_max = 1000;
  ASSERT_TRUE(telemetry.subscribe("one", asked));
  for (int i = 0; i < 1000; ++i) telemetry.publish(Telemetry::Source::kFunction, "function", "1");
  EXPECT_EQ(listener.wait_for(1000)[0].size(), 1000u);
  asked.bytes_max = 256 << 10;
  const std::string large = json_string(std::string(100 << 10, 'x'));
  for (int i = 0; i < 3; ++i) telemetry.publish(Telemetry::Source::kFunction, "function", large);
  const auto batches = listener.wait_for(1002);
  EXPECT_EQ(batches[1].size(), 2u) << "three would be more than the limit";
}

TEST(Telemetry, DropsTheOldestForADeafSubscriberAndSaysSo) {
  Listener listener;
  Telemetry telemetry(system_clock());
  Subscription asked = listener.subscription();
  ASSERT_TRUE(telemetry.subscribe("one", asked));
  telemetry.pause(true);
  const std::string large = json_string(std::string(1 << 20, 'x'));
  for (int i = 0; i < 8; ++i) telemetry.publish(Telemetry::Source::kFunction, "function", large);
  telemetry.pause(false);
  const auto batches = listener.wait_for(4);
  EXPECT_EQ(batches[0][0]["type"], "platform.logsDropped");
  EXPECT_EQ(batches[0][0]["record"]["droppedRecords"], 5);
}

TEST(Telemetry, FlushesAndTakesOnlySoManySubscribers) {
  Listener listener;
  Telemetry telemetry(system_clock());
  Subscription asked = listener.subscription();
  asked.wait_max = 30s;
  for (std::size_t i = 0; i < Telemetry::kSubscribersMax; ++i) {
    ASSERT_TRUE(telemetry.subscribe("one", asked));
  }
  const auto refused = telemetry.subscribe("one", asked);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  telemetry.publish(Telemetry::Source::kPlatform, "platform.start", "{}");
  telemetry.flush(system_clock().now() + 5s);
  EXPECT_EQ(listener.wait_for(10).size(), 10u);
}

TEST(Telemetry, EndsWhileASubscriberIsDeaf) {
  Listener listener;
  listener.set_deaf(true);
  const auto begun = std::chrono::steady_clock::now();
  {
    Telemetry telemetry(system_clock());
    ASSERT_TRUE(telemetry.subscribe("one", listener.subscription()));
    telemetry.publish(Telemetry::Source::kPlatform, "platform.start", "{}");
    telemetry.flush(system_clock().now() + 50ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

}  // namespace
}  // namespace thaw::emulator
