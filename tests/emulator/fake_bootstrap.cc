// A function that does as its event says, to see what the platform makes of it: {"do": "echo"},
// "stream", "crash", "hang", ... FAKE_INIT in its environment says how it starts.
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/lambda/crew.h"
#include "runtime/lambda/protocol.h"
#include "runtime/lambda/restore.h"

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

Crew* running = nullptr;

std::atomic<std::int64_t> ticks{0};

// Memory that is touched and stays: no allocator's, and without the shadow that ThreadSanitizer
// would give it, so that it is as much as was asked for in every build.
__attribute__((no_sanitize("thread"))) void allocate(std::int64_t mb) {
  const std::size_t bytes = static_cast<std::size_t>(mb) << 20;
  void* const held =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (held == MAP_FAILED) return;
  for (std::size_t at = 0; at < bytes; at += 4096) static_cast<volatile char*>(held)[at] = 'x';
}

// Bytes that are no HTTP, to the platform itself.
void send_garbage() {
  const std::string authority = variable("AWS_LAMBDA_RUNTIME_API");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(
      static_cast<std::uint16_t>(std::atoi(authority.substr(authority.rfind(':') + 1).c_str())));
  ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string garbage = std::string("\x16\x03\x01\0\xffGET\r\n\r\n", 13) + authority;
    [[maybe_unused]] const ssize_t sent = ::send(peer, garbage.data(), garbage.size(), 0);
  }
  ::close(peer);
}

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
  told["late registration"] = summary(post("/2020-01-01/extension/register", R"({"events":[]})",
                                           {{std::string(kExtensionNameHeader), "late"}}));
  told["no such path"] = summary(post("/2018-06-01/runtime/elsewhere", "{}", {}));
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

// What strains the platform; empty where `what` is nothing of that kind.
std::string strain(const std::string& what, const Json& asked, const std::string& id) {
  const std::string path = "/2018-06-01/runtime/invocation/" + id + "/response";
  if (what == "allocate") {
    allocate(asked.value("mb", 0));
    pause_for(asked.value("then_ms", 0));
    return "{}";
  }
  if (what == "allocate in a child") {
    const pid_t child = ::fork();
    if (child == 0) {
      allocate(asked.value("mb", 0));
      pause_for(60'000);
    }
    ::waitpid(child, nullptr, 0);
  }
  if (what == "ticks") return std::to_string(ticks);
  if (what == "garbage") {
    send_garbage();
    return R"("survived")";
  }
  if (what == "answer and die") {
    post(path, R"("last words")", {});
    std::abort();
  }
  if (what == "answer twice") {
    post(path, R"("first")", {});
    std::fprintf(stderr, "told %d\n", post(path, R"("second")", {}).status);
    return R"("third")";
  }
  if (what == "too large raw") {
    const auto told = post(path, std::string((6 << 20) + 101, 'x'), {});
    std::fprintf(stderr, "told %d\n", told.status);
    return "{}";
  }
  return "";
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
  if (outcome.body.empty()) outcome.body = strain(what, asked, id);
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

// An internal extension for no events, as aws-lambda-go's.
void register_nothing() {
  const auto told = post(std::string(kRegisterPath), R"({"events":null})",
                         {{std::string(kExtensionNameHeader), "nothing"}});
  std::fprintf(stderr, "registered %d\n", told.status);
  std::thread([id = std::string(told.headers.get(kExtensionIdHeader).value_or(""))] {
    auto client = http::Client::create(variable("AWS_LAMBDA_RUNTIME_API"));
    http::Call next;
    next.target = kExtensionNextPath;
    next.headers.add(kExtensionIdHeader, id);
    (void)(*client)->request(next);
  }).detach();
}

// Asks for its first event, and is gone some moments later: sooner or later than it is heard.
int ask_and_go() {
  std::thread([] {
    auto client = http::Client::create(variable("AWS_LAMBDA_RUNTIME_API"));
    http::Call next;
    next.target = "/2018-06-01/runtime/invocation/next";
    (void)(*client)->request(next);
  }).detach();
  ::usleep(static_cast<useconds_t>(200 + ::getpid() % 16 * 100));
  ::_exit(3);
}

int restore(const Connect& connect) {
  const auto restored = wait_for_restore(connect, []() -> Result<Done> {
    const std::string how = variable("FAKE_RESTORE");
    if (how == "hang") pause_for(60'000);
    if (how == "error") return fail(Code::kIo, "it cannot go on");
    return Done{};
  });
  return restored ? 0 : 1;
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
  if (start == "ask and go") return ask_and_go();
  if (start == "hang") pause_for(60'000);
  if (start == "slow") pause_for(600);
  if (start == "second time") {
    const std::string marker = variable("FAKE_MARKER");
    if (::access(marker.c_str(), F_OK) != 0) {
      std::fclose(std::fopen(marker.c_str(), "w"));
      return 3;
    }
  }
  if (start == "ticks") {
    std::thread([] {
      while (true) {
        pause_for(1);
        ++ticks;
      }
    }).detach();
  }
  if (start == "registers") register_nothing();
  const std::string concurrency = variable("AWS_LAMBDA_MAX_CONCURRENCY");
  const auto loops =
      static_cast<std::uint32_t>(concurrency.empty() ? 1 : std::atoi(concurrency.c_str()));
  LoopOptions options;
  if (loops == 1) {
    options.trace_id = [](std::string_view id) {
      setenv("_X_AMZN_TRACE_ID", std::string(id).c_str(), 1);
    };
  }
  auto crew = Crew::create(loops, connect, answer, system_clock(), options);
  if (!crew) return 1;
  running = crew->get();
  ::signal(SIGTERM, [](int) { running->stop(); });
  if (variable("AWS_LAMBDA_INITIALIZATION_TYPE") == kSnapStart && restore(connect) != 0) return 1;
  return running->run() == Ending::kStopped ? 0 : 1;
}

}  // namespace
}  // namespace thaw::lambda

int main() { return thaw::lambda::run(); }
