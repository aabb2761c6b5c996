// The loop with a scripted Runtime API on the other side.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fake_transport.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {

using handler::InvocationContext;
using handler::Outcome;
using handler::Responder;

inline http::Response event(std::string body = "{}", http::Fields more = {}) {
  http::Fields headers{{"lambda-runtime-aws-request-id", "id-1"}};  // names have no case
  for (const http::Field& field : more) headers.add(field.name, field.value);
  return {200, headers, std::move(body), {}};
}
inline http::Response status(int code) { return {code, {}, R"({"status":"OK"})", {}}; }
inline Error broken() { return fail(Code::kIo, "the connection broke"); }

class LoopTest : public testing::Test {
 protected:
  Ending run(Answer answer) {
    auto made = Loop::create(
        [this]() -> Result<std::unique_ptr<Transport>> {
          return std::unique_ptr<Transport>(std::make_unique<FakeTransport>(script));
        },
        std::move(answer), clock, options);
    EXPECT_TRUE(made);
    loop = std::move(*made);
    return loop->run();
  }
  static Outcome echo(std::string_view event, const InvocationContext&, Responder&) {
    Outcome outcome;
    outcome.body = event;
    return outcome;
  }
  // Requests other than /next.
  std::vector<Sent> answers() {
    std::vector<Sent> out;
    for (const Sent& sent : script.sent) {
      if (sent.target != kNextPath) out.push_back(sent);
    }
    return out;
  }
  std::size_t nexts() { return script.sent.size() - answers().size(); }

  ManualClock clock;
  Script script;
  LoopOptions options;
  std::unique_ptr<Loop> loop;
};

}  // namespace thaw::lambda
