#include "runtime/http/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/str.h"

namespace thaw::http {
namespace {

Error io_error(std::string_view what, int code) {
  return fail(Code::kIo, cat(what, ": ", std::strerror(code)));  // NOLINT: glibc's is thread-safe
}

// Milliseconds to wait, rounded up; -1 for ever.
int milliseconds_until(Deadline deadline) {
  if (!deadline) return -1;
  const auto left = *deadline - system_clock().now();
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<long long>(count, 0, 1'000'000'000));
}

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// The size of the address written; 0 where `host` is not numeric.
socklen_t fill(SocketAddress& to, const std::string& host, std::uint16_t port) {
  to = {};
  if (inet_pton(AF_INET, host.c_str(), &to.v4.sin_addr) == 1) {
    to.v4.sin_family = AF_INET;
    to.v4.sin_port = htons(port);
    return sizeof to.v4;
  }
  if (inet_pton(AF_INET6, host.c_str(), &to.v6.sin6_addr) == 1) {
    to.v6.sin6_family = AF_INET6;
    to.v6.sin6_port = htons(port);
    return sizeof to.v6;
  }
  return 0;
}

}  // namespace

// A process without descriptors to spare gets an event that never wakes: waits then end at their
// deadlines.
Event::Event() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
Event::~Event() {
  if (fd_ >= 0) ::close(fd_);
}
void Event::signal() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
}
void Event::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(fd_, &count, sizeof count);
}

Result<short> wait_for(int fd, short events, Deadline deadline, int wake) {
  for (;;) {
    pollfd waiting[2] = {{fd, events, 0}, {wake, POLLIN, 0}};
    const int ready = ::poll(waiting, wake >= 0 ? 2 : 1, milliseconds_until(deadline));
    if (ready < 0 && errno != EINTR) return io_error("wait on a socket", errno);
    if (wake >= 0 && ready > 0 && waiting[1].revents != 0) {
      return fail(Code::kCancelled, "wait on a socket: interrupted");
    }
    if (ready > 0 && waiting[0].revents != 0) return waiting[0].revents;
    if (deadline && system_clock().now() >= *deadline) {
      return fail(Code::kDeadline, "wait on a socket: time ran out");
    }
  }
}

Socket::Socket(int fd) : fd_(fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int on = 1;  // tokens leave as they come
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Socket::~Socket() { close(); }

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::shut_down_sending() { ::shutdown(fd_, SHUT_WR); }

Result<std::optional<std::size_t>> Socket::read_now(std::span<char> to) const {
  for (;;) {
    const ssize_t got = ::recv(fd_, to.data(), to.size(), 0);
    if (got >= 0) return std::optional(static_cast<std::size_t>(got));
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<std::size_t>();
    if (errno != EINTR) return io_error("read from a socket", errno);
  }
}

Result<std::size_t> Socket::read_some(std::span<char> to, Deadline deadline, int wake) const {
  for (;;) {
    THAW_TRY(got, read_now(to));
    if (got) return *got;
    THAW_TRY_DO(wait_for(fd_, POLLIN, deadline, wake));
  }
}

Result<std::size_t> Socket::write_now(std::string_view bytes) const {
  for (;;) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
    if (errno != EINTR) return io_error("write to a socket", errno);
  }
}

Result<Done> Socket::write_all(std::string_view bytes, std::chrono::milliseconds silence_max,
                               int wake) const {
  while (!bytes.empty()) {
    THAW_TRY(sent, write_now(bytes));
    bytes.remove_prefix(sent);
    if (sent > 0) continue;
    THAW_TRY_DO(wait_for(fd_, POLLOUT, system_clock().now() + silence_max, wake));
  }
  return Done{};
}

bool Socket::peer_closed() const {
  pollfd waiting = {fd_, POLLRDHUP, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

bool Socket::readable() const {
  pollfd waiting = {fd_, POLLIN | POLLRDHUP, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

Result<std::vector<Address>> parse_authority(std::string_view authority) {
  const auto bad = [&](std::string_view what) {
    return fail(Code::kInvalid, cat("connect to '", authority.substr(0, 128), "': ", what,
                                    "; give a numeric address and port, as 127.0.0.1:9001"));
  };
  std::string_view host = authority;
  std::string_view port_text;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad("a bracket does not close");
    host = authority.substr(1, end - 1);
    port_text = authority.substr(end + 1);
  } else if (const std::size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port_text = authority.substr(colon);
  }
  std::uint16_t port = 80;
  if (!port_text.empty()) {
    const char* end = port_text.data() + port_text.size();
    const auto parsed = std::from_chars(port_text.data() + 1, end, port);
    if (port_text[0] != ':' || parsed.ec != std::errc{} || parsed.ptr != end || port == 0) {
      return bad("no port between 1 and 65535");
    }
  }
  if (host == "localhost") return std::vector<Address>{{"127.0.0.1", port}, {"::1", port}};
  SocketAddress ignored;
  if (fill(ignored, std::string(host), port) == 0) return bad("not a numeric address");
  return std::vector<Address>{{std::string(host), port}};
}

Result<Socket> connect_to(const Address& address, Deadline deadline, int wake) {
  const std::string what = cat("connect to ", address.host, " port ", address.port);
  SocketAddress to;
  const socklen_t size = fill(to, address.host, address.port);
  if (size == 0) return fail(Code::kInvalid, cat(what, ": not a numeric address"));
  const int fd = ::socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Code::kUnavailable, cat(what, ": ", std::strerror(errno)));
  Socket socket(fd);
  if (::connect(fd, &to.any, size) == 0) return socket;
  int error = errno;
  if (error == EINPROGRESS || error == EINTR) {
    const Result<short> ready = wait_for(fd, POLLOUT, deadline, wake);
    if (!ready.has_value()) return fail(ready.error().code, cat(what, ": no answer in time"));
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error == 0) return socket;
  }
  return fail(Code::kUnavailable, cat(what, ": ", std::strerror(error)));
}

Result<Socket> listen_on(const std::string& host, std::uint16_t& port) {
  const std::string what = cat("listen on ", host, " port ", port);
  SocketAddress at;
  const socklen_t size = fill(at, host == "localhost" ? "127.0.0.1" : host, port);
  if (size == 0) return fail(Code::kInvalid, cat(what, ": not a numeric address"));
  const int fd = ::socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return io_error(what, errno);
  Socket socket(fd);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, &at.any, size) != 0 || ::listen(fd, 256) != 0) {
    const bool taken = errno == EADDRINUSE || errno == EACCES || errno == EADDRNOTAVAIL;
    return fail(taken ? Code::kUnavailable : Code::kIo, cat(what, ": ", std::strerror(errno)));
  }
  SocketAddress bound{};
  socklen_t length = sizeof bound;
  if (::getsockname(fd, &bound.any, &length) != 0) return io_error(what, errno);
  port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
  return socket;
}

}  // namespace thaw::http
