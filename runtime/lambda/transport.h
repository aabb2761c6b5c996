// The connection to the Runtime API, as the loop needs it: an interface, so that a test can make
// every step of it fail.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/http/client.h"

namespace thaw::lambda {

// One kept-alive connection that is made again when it broke. Calls and errors are http::Client's.
// One thread at a time, but for interrupt().
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<http::Response> request(const http::Call& call) = 0;
  virtual Result<http::Response> request(const http::Call& call,
                                         const http::Client::Sink& sink) = 0;
  virtual Result<Done> begin_chunked(const http::Call& call, std::string_view trailers) = 0;
  virtual Result<Done> write(std::string_view part) = 0;
  virtual Result<http::Response> finish(const http::Fields& trailers) = 0;
  virtual const http::Response* early_answer() const = 0;
  virtual void close() = 0;
  // Makes the call in progress and all later ones fail with kCancelled. Safe in a signal handler.
  virtual void interrupt() = 0;
};

using Connect = std::function<Result<std::unique_ptr<Transport>>()>;

// Of what the Runtime API says about one event. Servers written in Go take a megabyte of a client's
// headers, and what an emulator copies of them must not end this process.
inline constexpr std::size_t kEventHeadBytesMax = 2u << 20;

// Makes transports to `authority`, the value of AWS_LAMBDA_RUNTIME_API ("127.0.0.1:9001").
Connect connect_to(std::string authority);

}  // namespace thaw::lambda
