// What a person sees of `thaw emulate`: on a terminal, as JSON, as metrics.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::HasSubstr;

// `thaw emulate` of a small model, whose streams are one terminal or one pipe.
class Session {
 public:
  Session(bool terminal, std::vector<std::string> more) : terminal_(terminal) {
    state_ = testing::TempDir() + "thaw_session_" + std::to_string(::getpid());
    std::vector<std::string> words = {
        THAW_PROGRAM, "emulate", snapshot_of(tiny_model()), "--port", "0", "--state", state_};
    words.insert(words.end(), more.begin(), more.end());
    open();
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      ::setsid();
      for (const int stream : {0, 1, 2}) ::dup2(its_, stream);
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
    if (!terminal_) ::close(its_);
    wait_for("on http://127.0.0.1:");
    if (terminal_ && more.empty()) wait_for("q: end");
    const std::size_t at = text_.find("on http://") + 10;
    authority_ = text_.substr(at, text_.find(';', at) - at);
  }
  ~Session() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    if (terminal_) ::close(its_);
    ::close(ours_);
    std::filesystem::remove_all(state_);
  }

  http::Response get(const std::string& target, const std::string& body = {}) {
    auto client = http::Client::create(authority_);
    http::Call call;
    call.method = body.empty() ? "GET" : "POST";
    call.target = target;
    call.body = body;
    call.deadline = std::chrono::steady_clock::now() + 60s;
    auto answer = (*client)->request(call);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : http::Response{};
  }
  http::Response invoke() {
    const std::string name = std::filesystem::path(snapshot_of(tiny_model())).stem().string();
    return get("/2015-03-31/functions/" + name + "/invocations",
               R"({"prompt":"a","max_tokens":2})");
  }
  bool wait_for(const std::string& wanted) {
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (text_.find(wanted) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      read_some();
    }
    return true;
  }
  void type(const std::string& keys) { EXPECT_EQ(::write(ours_, keys.data(), keys.size()), 1); }
  void signal(int name) { ::kill(process_, name); }
  // Its exit code; everything that it wrote is in text() then.
  int wait() {
    int status = 0;
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (::waitpid(process_, &status, WNOHANG) == 0 && std::chrono::steady_clock::now() < until) {
      read_some();
    }
    process_ = -1;
    while (read_some()) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  termios settings() const {
    termios now{};
    ::tcgetattr(its_, &now);
    return now;
  }
  const std::string& text() const { return text_; }

 private:
  void open() {
    if (terminal_) {
      ours_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
      ::grantpt(ours_);
      ::unlockpt(ours_);
      its_ = ::open(::ptsname(ours_), O_RDWR | O_NOCTTY);
      winsize size{};
      size.ws_col = 120;
      size.ws_row = 40;
      ::ioctl(its_, TIOCSWINSZ, &size);
      return;
    }
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    ours_ = pipe[0];
    its_ = pipe[1];
  }
  bool read_some() {
    pollfd wait{ours_, POLLIN, 0};
    std::array<char, 4096> buffer;
    if (::poll(&wait, 1, 50) <= 0) return false;
    const ssize_t got = ::read(ours_, buffer.data(), buffer.size());
    if (got > 0) text_.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  const bool terminal_;
  std::string state_, authority_, text_;
  int ours_ = -1, its_ = -1;
  pid_t process_ = -1;
};

void expect_same(const termios& now, const termios& before) {
  EXPECT_EQ(now.c_lflag, before.c_lflag);
  EXPECT_EQ(now.c_iflag, before.c_iflag);
  EXPECT_EQ(now.c_cc[VMIN], before.c_cc[VMIN]);
}

TEST(EmulateSession, IsALiveViewOnATerminalAndLeavesItAsItWas) {
  Session session(true, {});
  termios before = session.settings();
  EXPECT_EQ(before.c_lflag & ICANON, 0u) << "it takes keys one by one";
  EXPECT_EQ(session.invoke().status, 200);
  EXPECT_TRUE(session.wait_for("answered"));
  EXPECT_TRUE(session.wait_for("frozen"));
  session.type("q");
  EXPECT_EQ(session.wait(), 0);
  EXPECT_THAT(session.text(), HasSubstr("\x1b[?25h"));
  EXPECT_THAT(session.text(), HasSubstr("on Lambda (x86)"));
  before.c_lflag |= ICANON | ECHO;
  before.c_cc[VMIN] = 1;
  expect_same(session.settings(), before);
}

TEST(EmulateSession, LeavesTheTerminalAsItWasOnASignal) {
  for (const int name : {SIGINT, SIGTERM, SIGHUP}) {
    Session session(true, {});
    EXPECT_EQ(session.settings().c_lflag & (ICANON | ECHO), 0u);
    session.signal(name);
    EXPECT_EQ(session.wait(), 0) << name;
    EXPECT_EQ(session.settings().c_lflag & (ICANON | ECHO), tcflag_t{ICANON | ECHO}) << name;
  }
}

TEST(EmulateSession, IsPlainLinesOnATerminalWhereAskedTo) {
  Session session(true, {"--plain"});
  EXPECT_EQ(session.invoke().status, 200);
  EXPECT_TRUE(session.wait_for("REPORT RequestId: "));
  EXPECT_EQ(session.text().find("\x1b["), std::string::npos);
  session.signal(SIGTERM);
  EXPECT_EQ(session.wait(), 0);
}

TEST(EmulateSession, IsLinesOfJsonWhereAskedTo) {
  Session session(false, {"--json", "--fault", "throttle:0"});
  EXPECT_EQ(session.invoke().status, 200);
  EXPECT_TRUE(session.wait_for(R"("type":"invocation")"));
  session.signal(SIGTERM);
  EXPECT_EQ(session.wait(), 0);
  std::istringstream all(session.text());
  std::vector<Json> lines;
  for (std::string line; std::getline(all, line);) {
    if (line.starts_with('{')) lines.push_back(Json::parse(line));  // the banner is stderr's
  }
  ASSERT_GE(lines.size(), 4u);
  EXPECT_EQ(lines.back()["type"], "report");
  EXPECT_EQ(lines.back()["functions"].begin().value()["cold"]["count"], 1);
  EXPECT_EQ(lines.front()["type"], "log");
}

TEST(EmulateSession, ServesMetricsWhereNoFunctionUrlHidesThem) {
  Session session(false, {});
  session.invoke();
  const auto page = session.get("/_thaw/metrics");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body,
              testing::ContainsRegex("thaw_emulator_invocations_total[{]function=\"[a-z0-9_-]+\","
                                     "ending=\"answered\"[}] 1\n"));
  EXPECT_THAT(page.body, HasSubstr("# TYPE thaw_emulator_response_seconds summary\n"));
  EXPECT_EQ(session.get("/_thaw/metrics", "{}").status, 405);
  session.signal(SIGTERM);
  EXPECT_EQ(session.wait(), 0);
}

TEST(EmulateSession, RefusesAFaultThatIsNone) {
  const Finished done = run_thaw({"emulate", snapshot_of(tiny_model()), "--fault", "kill:1"});
  EXPECT_EQ(done.code, 1);
  EXPECT_THAT(done.err, HasSubstr("fault 'kill:1': wanted kill-at:BYTES"));
}

}  // namespace
}  // namespace thaw::end_to_end
