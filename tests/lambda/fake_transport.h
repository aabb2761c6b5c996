// A Runtime API that follows a script: what it answers, in order, and what it was sent.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/lambda/transport.h"

namespace thaw::lambda {

struct Sent {
  std::string method;
  std::string target;
  http::Fields headers;
  std::string body;       // of a stream: its parts, put together
  std::string announced;  // trailers announced
  http::Fields trailers;
  bool streamed = false;
  bool finished = false;
};

struct Script {
  std::deque<Result<http::Response>> answers;  // one for each request and each finished stream
  std::deque<Result<Done>> begins;             // for begin_chunked; empty: all succeed
  std::size_t parts_max = SIZE_MAX;            // a write beyond them fails with kIo
  std::optional<http::Response> early;         // answered at the first write
  std::vector<Sent> sent;
  int connects = 0, closes = 0, interrupts = 0;
  std::function<void(const Sent&)> before_answer;  // called with each request as it comes
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(Script& script) : script_(script) { ++script_.connects; }

  Result<http::Response> request(const http::Call& call) override {
    script_.sent.push_back(sent_of(call));
    script_.sent.back().body = call.body;
    if (script_.before_answer) script_.before_answer(script_.sent.back());
    if (interrupted_) return fail(Code::kCancelled, "interrupted");
    return pop();
  }
  Result<http::Response> request(const http::Call& call, const http::Client::Sink& sink) override {
    auto answer = request(call);
    if (!answer) return answer;
    // In two parts, as a connection might bring it.
    const std::string body = std::exchange(answer->body, {});
    const std::string_view all = body;
    for (const auto part : {all.substr(0, all.size() / 2), all.substr(all.size() / 2)}) {
      if (part.empty()) continue;
      if (const auto taken = sink.body(part); !taken) return taken.error();
    }
    return answer;
  }
  Result<Done> begin_chunked(const http::Call& call, std::string_view trailers) override {
    if (interrupted_) return fail(Code::kCancelled, "interrupted");
    if (!script_.begins.empty()) {
      Result<Done> result = script_.begins.front();
      script_.begins.pop_front();
      if (!result) return result;
    }
    script_.sent.push_back(sent_of(call));
    script_.sent.back().streamed = true;
    script_.sent.back().announced = trailers;
    parts_ = 0;
    return Done{};
  }
  Result<Done> write(std::string_view part) override {
    if (script_.early) return fail(Code::kCancelled, "answered early");
    if (parts_++ >= script_.parts_max) return fail(Code::kIo, "broken");
    script_.sent.back().body += part;
    return Done{};
  }
  Result<http::Response> finish(const http::Fields& trailers) override {
    script_.sent.back().trailers = trailers;
    script_.sent.back().finished = true;
    return pop();
  }
  const http::Response* early_answer() const override {
    return script_.early ? &*script_.early : nullptr;
  }
  void close() override { ++script_.closes; }
  void interrupt() override {
    ++script_.interrupts;
    interrupted_ = true;
  }

 private:
  static Sent sent_of(const http::Call& call) {
    Sent sent;
    sent.method = call.method;
    sent.target = call.target;
    sent.headers = call.headers;
    return sent;
  }
  Result<http::Response> pop() {
    // The end of a script ends the loop, as a platform's 500 does.
    if (script_.answers.empty()) return http::Response{500, {}, {}, {}};
    Result<http::Response> answer = std::move(script_.answers.front());
    script_.answers.pop_front();
    return answer;
  }

  Script& script_;
  std::size_t parts_ = 0;
  std::atomic<bool> interrupted_{false};
};

}  // namespace thaw::lambda
