// A connected TCP socket with deadlines, and the event that wakes whoever waits on one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace thaw::http {

// Once signalled it stays so. Thread-safe; signal() is safe in a signal handler.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void signal();
  void clear();
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

using Deadline = std::optional<Clock::Monotonic>;  // none: for ever

// Waits until `fd` is ready for `events` (as poll's) and says for what; kDeadline, kCancelled where
// `wake` (-1: none) was signalled, kIo.
Result<short> wait_for(int fd, short events, Deadline deadline, int wake);

// Owns its descriptor; a default one holds none. One thread at a time, but for peer_closed().
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd);  // made non-blocking, without Nagle's delay
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void close();
  void shut_down_sending();

  // Up to to.size() bytes; 0 where the peer has closed. Errors: kDeadline, kCancelled, kIo.
  Result<std::size_t> read_some(std::span<char> to, Deadline deadline, int wake) const;
  // What is there now; nothing where that is nothing yet. Errors: kIo.
  Result<std::optional<std::size_t>> read_now(std::span<char> to) const;
  // As much as the socket takes now, perhaps 0. Errors: kIo.
  Result<std::size_t> write_now(std::string_view bytes) const;
  // All of it; `silence_max` bounds each wait for the peer to take more.
  // Errors: kDeadline, kCancelled, kIo.
  Result<Done> write_all(std::string_view bytes, std::chrono::milliseconds silence_max,
                         int wake) const;
  // The peer closed its sending side, or the connection broke. Does not block.
  bool peer_closed() const;
  // Something can be read at once: bytes, or the end.
  bool readable() const;

 private:
  int fd_ = -1;
};

// A numeric host and port.
struct Address {
  std::string host;  // "127.0.0.1", "::1"
  std::uint16_t port = 0;
};
// "127.0.0.1:9001", "[::1]:80", "localhost:9001" (which gives both of its addresses); port 80 where
// none is named. Errors: kInvalid.
Result<std::vector<Address>> parse_authority(std::string_view authority);

// Errors: kUnavailable, kDeadline, kCancelled.
Result<Socket> connect_to(const Address& address, Deadline deadline, int wake);

// A listening socket; the bound port is written to `port`. Errors: kInvalid (host), kUnavailable
// (in use, not allowed), kIo.
Result<Socket> listen_on(const std::string& host, std::uint16_t& port);

}  // namespace thaw::http
