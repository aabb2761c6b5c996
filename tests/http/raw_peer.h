// Sockets in the raw, for tests: a server that says exactly what it is told, and a client likewise.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/http/socket.h"

namespace thaw::http {

// One side of a plain connection. Every wait ends after ten seconds at the latest.
class RawPeer {
 public:
  explicit RawPeer(Socket socket) : socket_(std::move(socket)) {}
  static RawPeer connect(std::string_view authority);

  void say(std::string_view bytes);
  // Everything until `end` has been heard, it included, or the other side closed.
  std::string hear_until(std::string_view end);
  std::string hear_all();  // until the other side closes
  // What comes next, at most so many bytes; empty where the other side has closed.
  std::string hear_some(std::size_t bytes_max);
  bool closed();                                         // within a second
  void finish_saying() { socket_.shut_down_sending(); }  // half-closes
  void close() { socket_.close(); }

 private:
  Socket socket_;
  std::string heard_;
};

// Accepts connections one after another and gives each to the script, with its number from 0.
class ScriptedServer {
 public:
  using Script = std::function<void(RawPeer& peer, int connection)>;
  ScriptedServer(int connections, Script script);
  ~ScriptedServer() { thread_.join(); }
  std::string authority() const;

 private:
  Socket listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace thaw::http
