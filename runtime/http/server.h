// The server's side of HTTP/1.1: a thread a connection, a handler that may block for as long as it
// likes (a long poll, a generation). No TLS.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/http/message.h"

namespace thaw::http {

struct ServerOptions {
  std::string host = "127.0.0.1";     // a numeric address, or "localhost"
  std::uint16_t port = 0;             // 0: any free one
  std::size_t connections_max = 256;  // one more is answered 503 and closed; each costs a thread
  std::size_t head_bytes_max = kHeadBytesMax;  // 431 beyond
  std::size_t body_bytes_max = kBodyBytesMax;  // 413 beyond; Request::set_body_limits changes it
  std::chrono::milliseconds idle_time_max{75'000};  // a kept-alive connection without a request
  // A whole head, however its bytes drip, and the silence between two parts of a body.
  std::chrono::milliseconds read_time_max{30'000};
  // A whole body, however its bytes drip; Request::set_body_limits lifts it.
  std::chrono::milliseconds body_time_max{300'000};
  std::chrono::milliseconds write_time_max{60'000};  // a reader that takes nothing
};

// One request, whose body may still be on its way. Lives until the handler returns. One thread at a
// time.
class Request {
 public:
  virtual ~Request() = default;
  virtual std::string_view method() const = 0;
  virtual std::string_view target() const = 0;  // as sent: "/a%20b?x=1"
  std::string_view path() const;                // up to '?', still percent-encoded
  std::string_view query() const;               // after '?', or empty
  virtual const Fields& headers() const = 0;
  virtual std::string_view peer() const = 0;  // numeric address of the client, without its port

  // The declared length, or nothing where the body is chunked.
  virtual std::optional<std::uint64_t> content_length() const = 0;

  // Before the first read: other limits than the server's for this body (a stream of tokens may be
  // silent for long, and long in all).
  virtual void set_body_limits(std::size_t bytes_max, std::chrono::milliseconds silence_max) = 0;

  // Another limit than the server's for this body, and nothing else changed.
  virtual void limit_body(std::size_t bytes_max) = 0;

  // Waits for more of the body and moves up to to.size() bytes of it; 0: it ended, and trailers()
  // is complete. Precondition: to is not empty. Answers "Expect: 100-continue" first.
  // Errors: kLimit     larger than the limit
  //         kDeadline  silent for too long, or too long on its way
  //         kCorrupt   not HTTP
  //         kIo        the client closed before the end
  //         kCancelled the server stops
  virtual Result<std::size_t> read_some(std::span<char> to) = 0;
  // The whole body (what read_some() has not yet taken). Errors: as read_some.
  Result<std::string> read_all();
  // Trailer fields of a chunked body; empty until its end was read.
  virtual const Fields& trailers() const = 0;
};

// Where the answer goes. Lives until the handler returns. One thread at a time, but for
// cancelled(). Content-Length, Transfer-Encoding and Connection are the server's own.
// Errors of all: kIo        the client closed
//                kDeadline  it takes nothing for too long
//                kCancelled the server stops
//                kInvalid   a status, header or order of calls that makes no answer
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  // A whole answer. Once, instead of begin(). For HEAD the body's length alone is sent.
  virtual Result<Done> send(int status, const Fields& headers, std::string_view body) = 0;

  // A streamed answer: begin, write any number of times, end. Chunked; for a client of HTTP/1.0 the
  // body ends with the connection and trailers are dropped.
  virtual Result<Done> begin(int status, const Fields& headers) = 0;
  virtual Result<Done> write(std::string_view part) = 0;  // sent at once; empty: nothing
  virtual Result<Done> end(const Fields& trailers = {}) = 0;

  // Closes the connection, so that the client sees an answer cut short.
  virtual void abort() = 0;

  // The client closed its side, or the server stops: nobody waits for this answer. Looks at the
  // socket, does not block; thread-safe. (Handlers that wait on a condition variable look now and
  // then.)
  virtual bool cancelled() const = 0;
  // Whether send() or begin() was called.
  virtual bool begun() const = 0;
};

// Called on the connection's thread, several at a time. Must not throw. A handler that returns
// without an answer is answered for: 413, 408 or 400 where reading the body failed, else 500; one
// that leaves a stream without end() has its connection closed.
using Handler = std::function<void(Request&, ResponseWriter&)>;

// Thread-safe.
class Server {
 public:
  // Binds, listens and serves on threads of its own.
  // Errors: kInvalid (host), kUnavailable (the port is taken), kIo.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Handler handler);
  // Stops as stop() does.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;     // the one bound
  std::string authority() const;  // "127.0.0.1:9001", as a Client takes it

  // From now on a connection ends with the answer on it, so that clients go elsewhere.
  void close_after_answers();

  // Takes no more connections, ends idle ones, makes cancelled() true, and waits for the handlers
  // in progress, whose reads and writes still work until `grace` is over and are cut after it. Not
  // from a handler. Idempotent.
  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds{0});

  std::size_t connections() const;

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace thaw::http
