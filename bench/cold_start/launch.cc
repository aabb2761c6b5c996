#include "bench/cold_start/launch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/str.h"

namespace thaw::cold_start {
namespace {

using SteadyClock = std::chrono::steady_clock;

Error system_failure(std::string_view what) {
  return fail(Code::kIo, cat(what, ": ", std::strerror(errno)));
}

// A descriptor that is closed at the end of its life.
class Handle {
 public:
  explicit Handle(int number = -1) : number_(number) {}
  ~Handle() { close(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  int get() const { return number_; }
  void reset(int number) {
    close();
    number_ = number;
  }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

// A child process; killed and waited for at the end of its life.
class Child {
 public:
  Child() = default;
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // `output`: what its stdout becomes, or -1 for /dev/null; stderr is thrown away.
  Result<Done> start(const Command& command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (output >= 0) {
      posix_spawn_file_actions_adddup2(&actions, output, 1);
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    }
    std::vector<std::string> words = {command.program};
    words.insert(words.end(), command.arguments.begin(), command.arguments.end());
    std::vector<std::string> variables = command.environment;
    for (const char* name : {"PATH", "HOME", "LD_LIBRARY_PATH"}) {
      if (const char* value = std::getenv(name)) variables.push_back(cat(name, "=", value));
    }
    began_ns_ = now_ns();
    variables.push_back(cat("THAW_STARTED_NS=", began_ns_));
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> out;
      for (std::string& text : texts) out.push_back(text.data());
      out.push_back(nullptr);
      return out;
    };
    const int error = posix_spawn(&pid_, command.program.c_str(), &actions, nullptr,
                                  pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) return Done{};
    errno = error;
    pid_ = -1;
    return system_failure(cat("start '", command.program, "'"));
  }

  double since_ms() const { return static_cast<double>(now_ns() - began_ns_) / 1e6; }
  pid_t pid() const { return pid_; }
  bool has_ended() { return pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_ && (pid_ = -1); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  std::int64_t began_ns_ = 0;
};

std::uint64_t anonymous_bytes(pid_t pid) {
  Handle file(::open(cat("/proc/", pid, "/smaps_rollup").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text;
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  const std::string_view all(text.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
  constexpr std::string_view kName = "Anonymous:";
  std::size_t at = all.find(kName);
  if (at == std::string_view::npos) return 0;
  at = all.find_first_not_of(' ', at + kName.size());
  std::uint64_t kibibytes = 0;
  std::from_chars(all.data() + at, all.data() + all.size(), kibibytes);
  return kibibytes << 10;
}

// Waits until `number` can be read; false where time ran out.
bool readable(int number, const Child& child, int seconds_max) {
  for (;;) {
    const double left = seconds_max * 1e3 - child.since_ms();
    if (left <= 0) return false;
    pollfd wanted{number, POLLIN, 0};
    const int got = ::poll(&wanted, 1, static_cast<int>(std::min(left, 1e9)) + 1);
    if (got > 0) return true;
    if (got < 0 && errno != EINTR) return false;
  }
}

// One HTTP connection, read piece by piece.
class Stream {
 public:
  Stream(int socket, const Child& child, int seconds_max)
      : socket_(socket), child_(child), seconds_max_(seconds_max) {}

  // Reads until `mark` is there; what precedes it, mark included. Nothing at the end.
  std::optional<std::string> through(std::string_view mark) {
    for (;;) {
      const std::size_t at = text_.find(mark);
      if (at != std::string::npos) {
        std::string head = text_.substr(0, at + mark.size());
        text_.erase(0, at + mark.size());
        return head;
      }
      if (!more()) return std::nullopt;
    }
  }
  bool more() {
    std::array<char, 1 << 16> part;
    if (!readable(socket_, child_, seconds_max_)) return false;
    const ssize_t got = ::recv(socket_, part.data(), part.size(), 0);
    if (got <= 0) return false;
    text_.append(part.data(), static_cast<std::size_t>(got));
    return true;
  }
  std::string& text() { return text_; }

 private:
  int socket_;
  const Child& child_;
  int seconds_max_;
  std::string text_;
};

std::string lower(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(letter));
  return text;
}

// A body behind its head: times its first byte and its end.
bool take_body(Stream& stream, const std::string& head, const Child& child, Timed& to) {
  const std::string names = lower(head);
  const bool chunked = names.find("transfer-encoding: chunked") != std::string::npos;
  while (stream.text().empty()) {
    if (!stream.more()) return false;
  }
  to.first_ms = child.since_ms();
  to.anonymous_bytes = anonymous_bytes(child.pid());
  if (chunked) {
    for (;;) {
      const auto size_line = stream.through("\r\n");
      if (!size_line) return false;
      const std::size_t size = std::strtoul(size_line->c_str(), nullptr, 16);
      while (stream.text().size() < size + 2) {
        if (size == 0 && stream.text().find("\r\n") != std::string::npos) break;
        if (!stream.more()) return size == 0;
      }
      if (size == 0) break;
      to.output += stream.text().substr(0, size);
      stream.text().erase(0, size + 2);
    }
  } else {
    constexpr std::string_view kLength = "content-length: ";
    const std::size_t at = names.find(kLength);
    const std::size_t size = at == std::string::npos
                                 ? 0
                                 : std::strtoul(names.c_str() + at + kLength.size(), nullptr, 10);
    while (stream.text().size() < size && stream.more()) continue;
    to.output = stream.text();
  }
  to.end_ms = child.since_ms();
  return true;
}

Error too_late(const Command& command) {
  return fail(Code::kDeadline, cat("time '", command.program,
                                   "': it ended, or took too long, "
                                   "before it answered"));
}

Result<std::string> listen_anywhere(Handle& to) {
  to.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t bytes = sizeof address;
  if (to.get() < 0 || ::bind(to.get(), plain, bytes) != 0 || ::listen(to.get(), 8) != 0 ||
      ::getsockname(to.get(), plain, &bytes) != 0) {
    return system_failure("listen");
  }
  return cat("127.0.0.1:", ntohs(address.sin_port));
}

}  // namespace

std::int64_t now_ns() {
  return std::chrono::nanoseconds(SteadyClock::now().time_since_epoch()).count();
}

Result<Timed> time_pipe(const Command& command, int seconds_max) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("pipe");
  Handle read_end(ends[0]);
  Handle write_end(ends[1]);
  Child child;
  THAW_TRY_DO(child.start(command, write_end.get()));
  write_end.close();
  Timed timed;
  std::array<char, 1 << 16> part;
  for (;;) {
    if (!readable(read_end.get(), child, seconds_max)) return too_late(command);
    const ssize_t got = ::read(read_end.get(), part.data(), part.size());
    if (got <= 0) break;
    if (timed.first_ms == 0) {
      timed.first_ms = child.since_ms();
      timed.anonymous_bytes = anonymous_bytes(child.pid());
    }
    timed.output.append(part.data(), static_cast<std::size_t>(got));
  }
  timed.end_ms = child.since_ms();
  if (timed.first_ms == 0) timed.first_ms = timed.end_ms;  // a program that says nothing
  return timed;
}

Result<Timed> time_function(const Command& command, std::string_view event, int seconds_max) {
  Handle listener;
  THAW_TRY(authority, listen_anywhere(listener));
  Command with_api = command;
  with_api.environment.push_back(cat("AWS_LAMBDA_RUNTIME_API=", authority));
  Child child;
  THAW_TRY_DO(child.start(with_api, -1));
  if (!readable(listener.get(), child, seconds_max)) return too_late(command);
  // It registers an extension first, on a connection that it then keeps waiting on.
  Handle extension(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  Stream registering(extension.get(), child, seconds_max);
  constexpr std::string_view kRegistered =
      "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 1\r\nContent-Length: 2\r\n\r\n{}";
  if (!registering.through("\r\n\r\n") ||
      ::send(extension.get(), kRegistered.data(), kRegistered.size(), MSG_NOSIGNAL) < 0 ||
      !readable(listener.get(), child, seconds_max)) {
    return too_late(command);
  }
  Handle connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  Stream stream(connection.get(), child, seconds_max);
  const auto asked = stream.through("\r\n\r\n");
  if (!asked || asked->find("/invocation/next") == std::string::npos) return too_late(command);
  Timed timed;
  timed.next_ms = child.since_ms();
  if (event.empty()) return timed;
  const auto deadline = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch()) +
                        std::chrono::seconds(seconds_max);
  const std::string answer = cat(
      "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: bench-1\r\nLambda-Runtime-Deadline-Ms: ",
      deadline.count(), "\r\nContent-Type: application/json\r\nContent-Length: ", event.size(),
      "\r\n\r\n", event);
  if (::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
    return system_failure("send an event");
  }
  const auto head = stream.through("\r\n\r\n");
  if (!head || head->find("/response") == std::string::npos) return too_late(command);
  if (!take_body(stream, *head, child, timed)) return too_late(command);
  return timed;
}

Result<Timed> time_server(const Command& command, int port, std::string_view request,
                          int seconds_max) {
  Child child;
  THAW_TRY_DO(child.start(command, -1));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // A server listens before its model is loaded and answers 503 until then; it is asked again.
  while (child.since_ms() < seconds_max * 1e3) {
    if (child.has_ended()) return too_late(command);
    Handle connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        ::send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      Stream stream(connection.get(), child, seconds_max);
      const auto head = stream.through("\r\n\r\n");
      Timed timed;
      if (head && head->find(" 200 ") != std::string::npos &&
          take_body(stream, *head, child, timed)) {
        return timed;
      }
    }
    ::usleep(1000);
  }
  return too_late(command);
}

}  // namespace thaw::cold_start
