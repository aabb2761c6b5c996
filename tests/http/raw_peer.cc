#include "raw_peer.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "base/str.h"

namespace thaw::http {
namespace {

Deadline in(std::chrono::milliseconds time) { return system_clock().now() + time; }
constexpr std::chrono::seconds kPatience{10};

}  // namespace

RawPeer RawPeer::connect(std::string_view authority) {
  const auto addresses = parse_authority(authority);
  EXPECT_TRUE(addresses.has_value());
  auto socket = connect_to(addresses->front(), in(kPatience), -1);
  EXPECT_TRUE(socket.has_value());
  return RawPeer(socket.has_value() ? *std::move(socket) : Socket());
}

void RawPeer::say(std::string_view bytes) {
  (void)socket_.write_all(bytes, kPatience, -1);  // the other side may well have closed
}

std::string RawPeer::hear_until(std::string_view end) {
  std::array<char, 4096> part;
  while (heard_.find(end) == std::string::npos) {
    const auto got = socket_.read_some(part, in(kPatience), -1);
    if (!got.has_value() || *got == 0) break;
    heard_.append(part.data(), *got);
  }
  const std::size_t at = heard_.find(end);
  const std::size_t length = at == std::string::npos ? heard_.size() : at + end.size();
  std::string said = heard_.substr(0, length);
  heard_.erase(0, length);
  return said;
}

std::string RawPeer::hear_all() { return hear_until(std::string_view("\0never", 6)); }

std::string RawPeer::hear_some(std::size_t bytes_max) {
  std::string part(bytes_max, '\0');
  const auto got = socket_.read_some(part, in(kPatience), -1);
  part.resize(got.has_value() ? *got : 0);
  return part;
}

bool RawPeer::closed() {
  std::array<char, 4096> part;
  for (;;) {
    const auto got = socket_.read_some(part, in(std::chrono::seconds(1)), -1);
    if (!got.has_value()) return got.error().code == Code::kIo;
    if (*got == 0) return true;
  }
}

ScriptedServer::ScriptedServer(int connections, Script script) {
  auto listener = listen_on("127.0.0.1", port_);
  EXPECT_TRUE(listener.has_value());
  listener_ = *std::move(listener);
  thread_ = std::thread([this, connections, script = std::move(script)] {
    for (int i = 0; i < connections; ++i) {
      if (!wait_for(listener_.fd(), POLLIN, in(kPatience), -1).has_value()) return;
      RawPeer peer{Socket(::accept(listener_.fd(), nullptr, nullptr))};
      script(peer, i);
    }
  });
}

std::string ScriptedServer::authority() const { return cat("127.0.0.1:", port_); }

}  // namespace thaw::http
