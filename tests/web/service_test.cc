// The states of a service: it listens before it is open, and drains before it ends.
#include "runtime/web/service.h"

#include <future>

#include "runtime/web/exchange.h"
#include "web_fixture.h"

namespace thaw::web {
namespace {

using namespace std::chrono_literals;

// Lets generation stand still until told to go on.
class Brake {
 public:
  explicit Brake(handler::FakeGenerator& generator) {
    generator.before_piece = [this](std::size_t piece) {
      if (piece != 1) return;
      reached_.set_value();
      go_.get_future().wait();
    };
  }
  void await() { reached_.get_future().wait(); }
  void release() { go_.set_value(); }

 private:
  std::promise<void> reached_, go_;
};

TEST_F(Web, ListensBeforeItIsOpen) {
  start();
  EXPECT_EQ(request("GET", "/healthz").status, 200);
  const http::Response early = request("GET", "/readyz");
  EXPECT_EQ(early.status, 503);
  EXPECT_EQ(handler::at(early.body, "/error/code"), "\"loading\"");
  EXPECT_TRUE(early.headers.has("retry-after-ms"));
  // A request waits.
  auto answer =
      std::async(std::launch::async, [&] { return request("POST", "/predict", kPrompt); });
  EXPECT_EQ(answer.wait_for(150ms), std::future_status::timeout);
  open();
  EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(request("GET", "/readyz").status, 200);
}

TEST_F(Web, RefusesWhatHasWaitedTooLongToBeOpened) {
  ServiceOptions options;
  options.opening_time_max = 50ms;
  start(options);
  const http::Response answer = request("POST", "/predict", kPrompt);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(handler::at(answer.body, "/error/code"), "\"loading\"");
}

TEST_F(Web, AFunctionThatCannotBeOpenedAnswersTheWaiting) {
  start();
  auto answer =
      std::async(std::launch::async, [&] { return request("POST", "/predict", kPrompt); });
  EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout);
  EXPECT_TRUE(service_->drain());
  const http::Response refused = answer.get();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(handler::at(refused.body, "/error/code"), "\"draining\"");
}

TEST_F(Web, DrainsWhatIsInFlightAndRefusesTheRest) {
  start();
  open();
  Brake brake(generator_);
  auto answer =
      std::async(std::launch::async, [&] { return request("POST", "/predict", kPrompt); });
  brake.await();
  http::RawPeer kept = peer();  // connected before, and kept alive
  kept.say("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(kept.hear_until("ready\"}").find("200 OK"), std::string::npos);
  auto drained = std::async(std::launch::async, [&] { return service_->drain(); });
  while (!service_->closed()) std::this_thread::yield();
  kept.say("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string last = kept.hear_all();
  EXPECT_NE(last.find(" 503 "), std::string::npos);
  EXPECT_NE(last.find("\"draining\""), std::string::npos);
  EXPECT_NE(last.find("Connection: close\r\n"), std::string::npos);
  const http::Response refused = request("POST", "/predict", kPrompt);
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.has("retry-after"));
  EXPECT_EQ(drained.wait_for(50ms), std::future_status::timeout);
  brake.release();
  const http::Response finished = answer.get();
  EXPECT_EQ(finished.status, 200);
  EXPECT_EQ(handler::at(finished.body, "/text"), "\"Hello, world\"");
  EXPECT_TRUE(drained.get());
}

TEST_F(Web, CutsWhatOutlivesTheDrain) {
  ServiceOptions options;
  options.drain_time_max = 50ms;
  start(options);
  open();
  std::promise<void> reached;
  generator_.before_piece = [&](std::size_t piece) {
    if (piece == 1) reached.set_value();
  };
  generator_.pieces.assign(1'000'000, "x");
  http::RawPeer client = peer();
  client.say(post("/predict", R"({"prompt":"hi","stream":true})"));
  reached.get_future().wait();
  EXPECT_FALSE(service_->drain());
  EXPECT_FALSE(client.hear_all().ends_with("0\r\n\r\n"));
  EXPECT_LT(generator_.pieces_taken, 1'000'000u);
}

TEST_F(Web, SaysThatThePortIsTaken) {
  start();
  ServiceOptions options;
  options.server.port = service_->port();
  const auto second = Service::start(options);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kUnavailable);
}

TEST_F(Web, AClientThatLeavesEndsItsGenerationWithinAToken) {
  start();
  open();
  for (const char* body : {R"({"prompt":"hi","stream":true})", R"({"prompt":"hi"})"}) {
    generator_.pieces_taken = 0;
    generator_.pieces.assign(100, "x");
    std::promise<void> reached, left, ended;
    generator_.before_piece = [&](std::size_t piece) {
      if (piece != 10) return;
      reached.set_value();
      left.get_future().wait();
    };
    http::RawPeer client = peer();
    client.say(post("/predict", body));
    reached.get_future().wait();
    client.close();
    std::this_thread::sleep_for(20ms);  // for the end to cross the loopback
    left.set_value();
    while (handler_->metrics().text({}).find("in_flight 0") == std::string::npos) {
      std::this_thread::yield();
    }
    EXPECT_LE(generator_.pieces_taken, 11u) << body;
  }
}

TEST_F(Web, AHalfClosedClientIsGoneButForWhatNeedsNoGeneration) {
  start();
  open();
  http::RawPeer asks = peer();
  asks.say("GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  asks.finish_saying();
  EXPECT_NE(asks.hear_all().find("\"object\":\"list\""), std::string::npos);
  http::RawPeer generates = peer();
  generates.say(post("/predict", kPrompt));
  generates.finish_saying();
  const std::string heard = generates.hear_all();
  // Half an answer would look like a whole one: either all of it, or none.
  EXPECT_TRUE(heard.empty() || heard.find("Hello, world") != std::string::npos) << heard;
}

}  // namespace
}  // namespace thaw::web
