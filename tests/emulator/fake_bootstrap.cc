// A function that does as its event says, to see what the platform makes of it: {"do": "echo"},
// "stream", "crash", "hang", ... FAKE_INIT in its environment says how it starts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/lambda/loop.h"
#include "runtime/lambda/protocol.h"

extern char** environ;

namespace thaw::lambda {
namespace {

using Json = nlohmann::json;
using handler::InvocationContext;
using handler::Outcome;
using handler::Responder;
using std::chrono::milliseconds;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void pause_for(std::int64_t ms) { std::this_thread::sleep_for(milliseconds(ms)); }

Loop* running = nullptr;

// A second connection, to misbehave on while the loop waits for its answer.
http::Response post(const std::string& path, const std::string& body, http::Fields headers) {
  auto client = http::Client::create(variable("AWS_LAMBDA_RUNTIME_API"));
  http::Call call;
  call.method = "POST";
  call.target = path;
  call.body = body;
  call.headers = std::move(headers);
  auto answer = (*client)->request(call);
  return answer ? *answer : http::Response{};
}

Json summary(const http::Response& answer) {
  const Json body = Json::parse(answer.body, nullptr, false);
  return {{"status", answer.status},
          {"type", body.is_object() ? body.value("errorType", "") : std::string()}};
}

// Out of turn in each way there is; answers with what it was told.
Json misbehave(const std::string& id) {
  const std::string base = "/2018-06-01/runtime/invocation/";
  Json told;
  told["wrong id"] = summary(post(base + "another/response", "{}", {}));
  told["wrong mode"] = summary(
      post(base + id + "/response", "{}", {{std::string(kResponseModeHeader), "buffered"}}));
  told["wrong attempt"] =
      summary(post(base + id + "/response", "{}", {{std::string(kInvocationIdHeader), "another"}}));
  told["late init error"] = summary(post("/2018-06-01/runtime/init/error", "{}", {}));
  told["no such path"] = summary(post("/2020-01-01/extension/register", "{}", {}));
  auto client = http::Client::create(variable("AWS_LAMBDA_RUNTIME_API"));
  http::Call next;
  next.target = kNextPath;
  told["next out of turn"] = summary(*(*client)->request(next));
  http::Call ping;
  ping.target = "/2018-06-01/ping";
  told["ping"] = (*client)->request(ping)->body;
  return told;
}

Outcome stream(const Json& event, Responder& responder, bool http) {
  Outcome outcome;
  handler::StreamHead head;
  head.content_type = "text/plain";
  if (http) head.http = handler::StreamHead::Http{201, {{"X-Fake", "yes"}, {"Set-Cookie", "a=b"}}};
  outcome.streamed = true;
  if (!responder.begin(head)) return outcome;
  const int parts = event.value("parts", 3);
  for (int i = 0; i < parts; ++i) {
    if (i > 0) pause_for(event.value("pause_ms", 0));
    if (!responder.write(event.value("text", "part ") + std::to_string(i) + "\n")) return outcome;
  }
  const std::string then = event.value("then", "");
  if (then == "fail") outcome.error = {"Function.Broken", "it broke in the middle"};
  if (then == "crash") std::abort();
  if (then == "hang") pause_for(60'000);
  return outcome;
}

// Adds the line "name" to a file; how many of them there are now.
int mark(const Json& asked) {
  const std::string path = asked.value("file", ""), name = asked.value("name", "");
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const std::string line = name + "\n";
  if (file < 0 || ::write(file, line.data(), line.size()) < 0) return -1;
  ::close(file);
  std::ifstream lines(path);
  int marks = 0;
  for (std::string each; std::getline(lines, each);) marks += each == name ? 1 : 0;
  return marks;
}

void wait_for_file(const std::string& path) {
  while (::access(path.c_str(), F_OK) != 0) pause_for(2);
}

Outcome answer(std::string_view text, const InvocationContext& context, Responder& responder) {
  Json event = Json::parse(text);
  const bool http = event.contains("requestContext");
  if (http && event.contains("body") && event["body"].is_null()) event.erase("body");
  if (http && event.value("isBase64Encoded", false)) {
    event["body"] = *base64_decode(event["body"].get<std::string>());
  }
  Json asked = event;
  if (http) asked = Json::parse(event.value("body", "{}"), nullptr, false);
  if (!asked.is_object()) asked = Json::object();
  const std::string what = asked.value("do", "echo");
  std::fprintf(stderr, "doing %s\n", what.c_str());
  pause_for(asked.value("wait_ms", 0));

  Outcome outcome;
  const std::string id(context.request_id);
  if (what == "stream") return stream(asked, responder, http);
  if (what == "bad prelude") {
    (void)responder.begin({"application/vnd.awslambda.http-integration-response", {}});
    (void)responder.write(std::string(20'000, 'x'));
    outcome.streamed = true;
    return outcome;
  }
  if (what == "mark" && mark(asked) <= asked.value("fail_times", 0)) {
    outcome.error = {"Function.Refused", "not yet"};
  }
  if (what == "await") wait_for_file(asked.value("file", ""));
  if (what == "error") outcome.error = {"Function.Refused", "it will not"};
  if (what == "abort") std::abort();
  if (what == "exit") std::_Exit(asked.value("code", 0));
  if (what == "hang") pause_for(60'000);
  if (what == "kill") ::kill(::getpid(), SIGKILL);
  if (what == "large") outcome.body = Json(std::string(asked.value("bytes", 0), 'x')).dump();
  if (what == "raw") outcome.body = asked.value("body", "");
  if (what == "leave") {
    outcome.body = R"("left")";
    running->stop();
  }
  if (what == "too large raw") {
    const auto told = post("/2018-06-01/runtime/invocation/" + id + "/response",
                           std::string((6 << 20) + 101, 'x'), {});
    std::fprintf(stderr, "told %d\n", told.status);
    outcome.body = "{}";
  }
  if (what == "misbehave") outcome.body = misbehave(id).dump();
  if (what == "environment") {
    Json all = Json::array();
    for (char** at = environ; *at != nullptr; ++at) all.push_back(*at);
    outcome.body = all.dump();
  }
  if (what == "print") {
    for (int i = 0; i < asked.value("lines", 1); ++i) std::printf("line %d\n", i);
    std::fflush(stdout);
    outcome.body = "{}";
  }
  const bool echoes = what == "echo" || what == "await" || what == "mark";
  if (!outcome.error && outcome.body.empty() && echoes) {
    const Json echo = {{"event", event},
                       {"pid", ::getpid()},
                       {"id", id},
                       {"trace", variable("_X_AMZN_TRACE_ID")},
                       {"deadline", context.deadline.has_value()}};
    outcome.body = http ? Json{{"statusCode", 200},
                               {"headers", {{"content-type", "application/json"}, {"x-fake", "1"}}},
                               {"cookies", {"a=1", "b=2"}},
                               {"body", echo.dump()}}
                              .dump()
                        : echo.dump();
  }
  return outcome;
}

int run() {
  const std::string start = variable("FAKE_INIT");
  const Connect connect = connect_to(variable("AWS_LAMBDA_RUNTIME_API"));
  if (start == "error") {
    (void)report_init_error(connect, {"Runtime.NoSuchSnapshot", "it is not there"});
    return 1;
  }
  if (start == "exit") return 3;
  if (start == "quiet") return 0;
  if (start == "hang") pause_for(60'000);
  if (start == "slow") pause_for(600);
  LoopOptions options;
  options.trace_id = [](std::string_view id) {
    setenv("_X_AMZN_TRACE_ID", std::string(id).c_str(), 1);
  };
  auto loop = Loop::create(connect, answer, system_clock(), options);
  if (!loop) return 1;
  running = loop->get();
  ::signal(SIGTERM, [](int) { running->stop(); });
  return running->run() == Ending::kStopped ? 0 : 1;
}

}  // namespace
}  // namespace thaw::lambda

int main() { return thaw::lambda::run(); }
