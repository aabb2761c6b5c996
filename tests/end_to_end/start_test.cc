// What a start of `bootstrap` does before it asks for its first event, counted from outside.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

constexpr int kCallsMax = 120;  // DESIGN: what a start may ask of the kernel

// A Runtime API that takes one extension's registration and says nothing else.
class SilentApi {
 public:
  SilentApi() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t bytes = sizeof address;
    EXPECT_EQ(::bind(socket_, plain, bytes), 0);
    EXPECT_EQ(::listen(socket_, 4), 0);
    EXPECT_EQ(::getsockname(socket_, plain, &bytes), 0);
    authority_ = cat("127.0.0.1:", ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~SilentApi() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  const std::string& authority() const { return authority_; }

 private:
  // The extension is the first to connect; its second request is left without an answer.
  void serve() {
    const int peer = ::accept(socket_, nullptr, nullptr);
    if (peer < 0) return;
    char request[4096];
    const ssize_t bytes = ::recv(peer, request, sizeof request, 0);
    EXPECT_TRUE(std::string_view(request, bytes < 0 ? 0 : static_cast<std::size_t>(bytes))
                    .starts_with("POST /2020-01-01/extension/register "));
    constexpr std::string_view kAnswer =
        "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 1\r\nContent-Length: 2\r\n\r\n{}";
    EXPECT_EQ(::send(peer, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(kAnswer.size()));
    while (::recv(peer, request, sizeof request, 0) > 0) continue;
    ::close(peer);
  }

  int socket_;
  std::string authority_;
  std::thread thread_;
};

// Whether the bytes at `address` of a stopped process ask for an event.
bool asks_for_event(pid_t process, std::uint64_t address) {
  constexpr std::string_view kNext = "GET /2018-06-01/runtime/invocation/next ";
  char bytes[64] = {};
  iovec here{bytes, kNext.size()};
  iovec there{reinterpret_cast<void*>(address), kNext.size()};
  const ssize_t count = ::process_vm_readv(process, &here, 1, &there, 1, 0);
  return count > 0 && std::string_view(bytes, static_cast<std::size_t>(count)) == kNext;
}

// Runs `bootstrap` under the eyes of ptrace and counts the system calls of all its threads up to
// the one that asks for an event; nothing where it ended before.
std::optional<int> calls_before_next(const std::string& snapshot) {
  const SilentApi api;
  const std::string where = cat("AWS_LAMBDA_RUNTIME_API=", api.authority());
  const std::string what = cat("THAW_SNAPSHOT=", snapshot);
  const pid_t child = ::fork();
  if (child == 0) {
    char* const arguments[] = {const_cast<char*>(THAW_BOOTSTRAP), nullptr};
    char* const environment[] = {const_cast<char*>(where.c_str()), const_cast<char*>(what.c_str()),
                                 nullptr};
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::execve(arguments[0], arguments, environment);
    ::_exit(127);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status)) << "no " << THAW_BOOTSTRAP << ", or no ptrace here";
  const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, child, nullptr, options), 0);
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  int calls = 0;
  bool sent = false;
  for (;;) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) break;
    if (!WIFSTOPPED(status)) continue;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      struct __ptrace_syscall_info call {};
      ::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof call, &call);
      if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
        if (call.entry.nr == SYS_sendto && !sent && asks_for_event(thread, call.entry.args[1])) {
          sent = true;
          ::kill(child, SIGKILL);
          continue;  // its threads end one by one, and each is waited for
        }
        if (!sent) ++calls;
      }
    }
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr);
  }
  if (!sent) return std::nullopt;
  return calls;
}

TEST(Start, AsksTheKernelForLittleAndForNoMoreWithALargerModel) {
  const auto tiny = calls_before_next(snapshot_of(tiny_model()));
  const auto larger = calls_before_next(snapshot_of(smollm2()));
  ASSERT_TRUE(tiny && larger) << "bootstrap ended before it asked for an event";
  EXPECT_GT(*tiny, 10) << "the calls were not seen";
  EXPECT_LE(*tiny, kCallsMax);
  EXPECT_LE(*larger, kCallsMax);
  // Threads race for a call or two, and a file of megabytes is mapped and looked at in more pieces;
  // layers, tensors and tokens must not show, of which the larger model has thousands more.
  RecordProperty("calls", *tiny);
  EXPECT_NEAR(*tiny, *larger, 24);
}

}  // namespace
}  // namespace thaw::end_to_end
