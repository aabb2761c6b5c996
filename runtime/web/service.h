// A function behind a port: it listens before the function is open, and drains before it ends.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "handler/gate.h"
#include "runtime/http/server.h"

namespace thaw::web {

struct ServiceOptions {
  http::ServerOptions server;
  // Requests that come before the function is open wait for it; 503 after this long.
  std::chrono::milliseconds opening_time_max{60'000};
  // What is in flight may finish; cut after this long. Cloud Run kills after 10 s.
  std::chrono::milliseconds drain_time_max{8'000};
};

// The options of a server that faces clients directly or through a platform's proxy.
http::ServerOptions server_options(std::string host, std::uint16_t port);

// Answers one request; called on many threads at once.
using Answer = std::function<void(http::Request&, http::ResponseWriter&)>;

// The port, and what state the instance is in: the gate of the handler behind it. Thread-safe.
class Service final : public handler::Gate {
 public:
  // Listens. /healthz answers from now on; /readyz says 503 until open().
  // Errors: as http::Server::start().
  static Result<std::unique_ptr<Service>> start(const ServiceOptions& options);
  // Drains.
  ~Service() override;

  // Takes requests. `load` (may be null) says when there are too many; it and what `answer` uses
  // outlive the service. Once.
  void open(Answer answer, const handler::Gate* load);

  // Takes no more requests (503, "draining") and waits until no more than `besides` are in flight:
  // the one that asks for it may be one of them. False: drain_time_max came first.
  bool finish(std::uint32_t besides);
  // finish(), and closes the port; what is still in flight is cut. Not from an Answer. Idempotent.
  bool drain();

  std::string authority() const { return server_->authority(); }
  std::uint16_t port() const { return server_->port(); }

  std::optional<handler::Closed> closed() const override;
  std::vector<handler::Gauge> gauges() const override;

 private:
  enum class State : std::uint8_t { kOpening, kOpen, kDraining };

  explicit Service(const ServiceOptions& options) : options_(options) {}
  void serve(http::Request& request, http::ResponseWriter& writer);
  // Until the function is open, for as long as somebody waits for that; whether it is.
  bool wait_until_open(const http::ResponseWriter& writer);

  const ServiceOptions options_;
  mutable std::mutex mutex_;  // guards what follows, up to the server
  std::condition_variable changed_;
  State state_ = State::kOpening;
  std::uint32_t in_flight_ = 0;  // requests whose handler has not returned
  const handler::Gate* load_ = nullptr;
  Answer answer_;  // set once, and called without the lock
  std::unique_ptr<http::Server> server_;
};

}  // namespace thaw::web
