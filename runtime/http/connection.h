// One connection of a Server: requests read, handlers called, answers written, one after another.
#pragma once

#include <atomic>
#include <string>

#include "runtime/http/reader.h"
#include "runtime/http/server.h"
#include "runtime/http/socket.h"

namespace thaw::http {

// What all connections of a server share; outlives them.
struct Shared {
  ServerOptions options;
  Handler handler;
  Event stopping;  // ends waits for further requests
  Event cut;       // ends everything
  std::atomic<bool> is_stopping{false};
  std::atomic<bool> is_draining{false};  // connections end with their next answer
};

// Serves `socket` until either side closes it. Blocks.
void serve_connection(Socket socket, std::string peer, Shared& shared);

// The whole text of a short answer of the server's own, after which the connection closes.
std::string closing_answer(int status);

}  // namespace thaw::http
