// The client's side of HTTP/1.1: one kept-alive connection to a numeric address. No names are
// looked up, no TLS, nothing is started before the first call.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/http/message.h"

namespace thaw::http {

struct ClientOptions {
  std::chrono::milliseconds connect_time_max{5000};
  std::size_t head_bytes_max = kHeadBytesMax;
  // Control characters in an answer's fields, which HTTP forbids, are taken as spaces: for a peer
  // that passes on what others have sent it.
  bool blanks_controls = false;
};

// One request. What it refers to must live until the call returns.
struct Call {
  std::string_view method = "GET";
  std::string_view target = "/";
  Fields headers;              // Host, Content-Length, Transfer-Encoding are the client's own
  std::string_view body = {};  // Content-Length is sent for it unless the method is GET or HEAD
  std::optional<Clock::Monotonic> deadline = {};  // none: waits for ever, as a long poll must
  std::size_t body_bytes_max = kBodyBytesMax;     // of the answer
};

// A connection that is made on the first call, kept alive between calls, and made again when the
// peer closed it while it was idle. One thread at a time, but for interrupt().
//
// Errors of every call:
//   kUnavailable  cannot connect
//   kIo           the connection broke; a request may or may not have been seen by the peer
//   kDeadline     the call's deadline passed
//   kLimit        the answer's head or body is larger than its limit
//   kCorrupt      the answer is not HTTP
//   kCancelled    interrupt() was called
//   kInvalid      a method, target or header that would break the message's framing
// After an error the connection is closed; the next call makes a new one.
class Client {
 public:
  // `authority`: "127.0.0.1:9001", "[::1]:80", "localhost:9001"; port 80 if none is given.
  // Errors: kInvalid, also for a name that would have to be looked up. Does not connect.
  static Result<std::unique_ptr<Client>> create(std::string_view authority,
                                                const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Sends a request and reads the whole answer. A GET or HEAD is sent once more, on a new
  // connection, where a kept-alive one turns out to be closed before any byte of an answer came.
  Result<Response> request(const Call& call);

  // What of an answer that arrives part by part; an error from either ends the call with it.
  struct Sink {
    std::function<Result<Done>(int status, const Fields& headers)>
        head;  // once, first; may be empty
    std::function<Result<Done>(std::string_view part)> body;
  };
  // Like request(), the body handed over as it comes (the Response's body stays empty).
  Result<Response> request(const Call& call, const Sink& sink);

  // A request whose body is streamed: begin_chunked, write any number of times, then finish or
  // abort. `call.body` is ignored. `trailers`: the names announced in the Trailer header, comma
  // separated; empty for none. The call's deadline covers everything up to finish().
  Result<Done> begin_chunked(const Call& call, std::string_view trailers);
  // Sends a part at once; an empty one sends nothing. Errors, beside those above: kCancelled also
  // where the peer has answered already (413, 410) and reads no more: early_answer() has it then.
  Result<Done> write(std::string_view part);
  // Ends the body and reads the answer.
  Result<Response> finish(const Fields& trailers = {});
  // Breaks the request off: closes the connection, so that the peer sees a body cut short.
  void abort();
  // The answer that ended the last begin_chunked() request before its finish(); else null.
  const Response* early_answer() const;

  // Makes the call in progress and all later ones fail with kCancelled. Thread-safe, and safe in a
  // signal handler.
  void interrupt();

  bool connected() const;

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace thaw::http
