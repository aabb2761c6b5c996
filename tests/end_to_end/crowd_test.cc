// 200 clients at once, half of them slow, leaving, or malformed: the good ones all get whole
// answers, and nothing is left behind. For some seconds in ctest; THAW_CROWD_SECONDS=60 for a
// minute, whose figures are printed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/random.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"
#include "tests/http/raw_peer.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int kGood = 100;
constexpr int kBad = 100;
constexpr int kPrompts = 5;

std::string body_of(int prompt, bool stream) {
  return json{{"prompt", cat("prompt ", prompt)},
              {"max_tokens", 16 + 8 * prompt},
              {"seed", 3},
              {"stream", stream}}
      .dump();
}

std::string raw_post(const std::string& body, std::string_view more = "") {
  return cat("POST /predict HTTP/1.1\r\nHost: h\r\n", more, "Content-Length: ", body.size(),
             "\r\n\r\n", body);
}

// What a process holds.
struct Held {
  std::size_t descriptors = 0, threads = 0;
  std::uint64_t anonymous_kb = 0;
};
Held held_by(pid_t process) {
  Held held;
  const std::string root = cat("/proc/", process, "/");
  for (const auto& each : std::filesystem::directory_iterator(root + "fd")) {
    held.descriptors += each.path().empty() ? 0 : 1;
  }
  std::ifstream status(root + "status");
  for (std::string line; std::getline(status, line);) {
    std::sscanf(line.c_str(), "Threads: %zu", &held.threads);
    std::sscanf(line.c_str(), "RssAnon: %lu", &held.anonymous_kb);
  }
  return held;
}

class Crowd {
 public:
  explicit Crowd(const std::string& authority) : authority_(authority) {
    const auto client = *http::Client::create(authority_);
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      expected_.push_back(text_of(ask(*client, prompt, false), false));
      EXPECT_FALSE(expected_.back().empty());
    }
  }

  // All of them, for that long.
  void come_for(std::chrono::milliseconds time) {
    end_ = system_clock().now() + time;
    std::vector<std::thread> clients;
    for (int i = 0; i < kGood; ++i) clients.emplace_back([this, i] { be_good(i); });
    for (int i = 0; i < kBad; ++i) clients.emplace_back([this, i] { be_bad(i); });
    for (std::thread& client : clients) client.join();
  }

  std::uint64_t whole() const { return whole_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t nuisances() const { return nuisances_; }

 private:
  bool goes_on() const { return system_clock().now() < end_; }

  static Result<http::Response> ask(http::Client& client, int prompt, bool stream) {
    const std::string body = body_of(prompt, stream);
    http::Call call;
    call.method = "POST";
    call.target = "/predict";
    call.body = body;
    call.deadline = system_clock().now() + 60s;
    return client.request(call);
  }

  static std::string text_of(const Result<http::Response>& answer, bool stream) {
    if (!answer || answer->status != 200) {
      return answer ? cat("status ", answer->status) : answer.error().message;
    }
    if (!stream) return json::parse(answer->body, nullptr, false).value("text", "no text");
    std::string text;
    bool ended = false;
    std::istringstream lines(answer->body);
    for (std::string line; std::getline(lines, line);) {
      const json part = json::parse(line, nullptr, false);
      text += part.value("text", "");
      ended = ended || part.contains("finish_reason");
    }
    return ended ? text : "the stream has no end";
  }

  // As its platform's clients do: what is refused for a while is asked again, as long as it takes.
  void be_good(int number) {
    const auto client = *http::Client::create(authority_);
    for (int n = number; goes_on(); ++n) {
      const int prompt = n % kPrompts;
      const bool stream = n % 2 == 0;
      auto answer = ask(*client, prompt, stream);
      while (answer && answer->status == 503) {
        ++refused_;
        std::this_thread::sleep_for(20ms);
        answer = ask(*client, prompt, stream);
      }
      EXPECT_EQ(text_of(answer, stream), expected_[static_cast<std::size_t>(prompt)]) << stream;
      ++whole_;
    }
  }

  void be_bad(int number) {
    Random random(1000 + static_cast<std::uint64_t>(number));
    while (goes_on()) {
      http::RawPeer peer = http::RawPeer::connect(authority_);
      nuisance(number % 7, peer, random);
      ++nuisances_;
    }
  }

  void nuisance(int kind, http::RawPeer& peer, Random& random) {
    const std::string stream = raw_post(body_of(4, true));
    switch (kind) {
      case 0:  // leaves in the middle of a stream
        peer.say(stream);
        (void)peer.hear_until("\r\n\r\n");
        break;
      case 1:  // leaves before it begins
        peer.say(stream);
        break;
      case 2:  // reads when it likes
        peer.say(raw_post(body_of(4, true), "Connection: close\r\n"));
        while (goes_on() && !peer.hear_some(16).empty()) std::this_thread::sleep_for(5ms);
        break;
      case 3:  // speaks one byte after another, and never ends
        for (std::size_t i = 0; i + 8 < stream.size() && goes_on(); ++i) {
          peer.say(stream.substr(i, 1));
          std::this_thread::sleep_for(10ms);
        }
        break;
      case 4: {  // says anything
        std::string noise = random.below(2) == 0 ? "" : "POST /predict HTTP/1.1\r\nHost: h\r\n";
        for (std::uint64_t n = random.below(2000); n > 0; --n) {
          noise += static_cast<char>(random.below(256));
        }
        peer.say(noise);
        std::this_thread::sleep_for(2ms);
        break;
      }
      case 5:  // bad bodies: no JSON, too much of it, less than it said
        peer.say(raw_post("{\"prompt\":"));
        (void)peer.hear_until("\r\n\r\n");
        peer.say("POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n{");
        break;
      default:  // half-closes
        peer.say(stream);
        peer.finish_saying();
        (void)peer.hear_all();
    }
  }

  const std::string authority_;
  std::vector<std::string> expected_;
  Clock::Monotonic end_{};
  std::atomic<std::uint64_t> whole_{0}, refused_{0}, nuisances_{0};
};

TEST(Crowd, OfGoodAndBadClientsLeavesNothingBehind) {
  const char* asked = std::getenv("THAW_CROWD_SECONDS");
  const double seconds = asked == nullptr ? 2 : std::atof(asked);
  Served served(Served::Program::kBootstrap, snapshot_of(tiny_model()), {"THAW_LOG=error"});
  Crowd crowd(served.authority());
  std::this_thread::sleep_for(100ms);  // connections end a moment after their clients
  const Held fresh = held_by(served.process());
  crowd.come_for(1500ms);  // until every thread and buffer has been made once
  const Held before = held_by(served.process());
  crowd.come_for(std::chrono::milliseconds(static_cast<long>(1000 * seconds)));
  Held after = held_by(served.process());
  for (int tries = 0;
       tries < 400 && after.descriptors + after.threads > fresh.descriptors + fresh.threads;
       ++tries) {
    std::this_thread::sleep_for(25ms);
    after = held_by(served.process());
  }
  std::printf(
      "%lu whole answers, %lu asked again, %lu nuisances in %.1f s; descriptors %zu, %zu; "
      "threads %zu, %zu; anonymous memory %lu kB, %lu kB, %lu kB\n",
      crowd.whole(), crowd.refused(), crowd.nuisances(), seconds, fresh.descriptors,
      after.descriptors, fresh.threads, after.threads, fresh.anonymous_kb, before.anonymous_kb,
      after.anonymous_kb);
  EXPECT_GT(crowd.whole(), 200u);
  EXPECT_GT(crowd.nuisances(), 100u);
  EXPECT_EQ(after.descriptors, fresh.descriptors);
  EXPECT_EQ(after.threads, fresh.threads);
#ifndef THAW_SANITIZED  // a sanitizer keeps what was freed
  EXPECT_LT(after.anonymous_kb, before.anonymous_kb + (16u << 10));
#endif
  EXPECT_EQ(served.stop(), 0);
}

}  // namespace
}  // namespace thaw::end_to_end
