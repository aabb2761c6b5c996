#include "runtime/web/service.h"

#include <utility>

#include "base/clock.h"
#include "handler/handler.h"
#include "runtime/web/exchange.h"
#include "runtime/web/request_id.h"

namespace thaw::web {
namespace {

using std::chrono::milliseconds;

// How often a request that waits for the function looks whether its client is still there.
constexpr milliseconds kLookEvery{100};
// What a handler whose answer was cut may take to notice.
constexpr milliseconds kCutTime{500};

constexpr handler::Closed kLoading = {
    "loading", "instance: the function is not open yet; try again in a second", milliseconds(1000)};
constexpr handler::Closed kDraining = {
    "draining", "instance: it is about to end; try again, another will answer", milliseconds(1000)};

}  // namespace

http::ServerOptions server_options(std::string host, std::uint16_t port) {
  http::ServerOptions options;
  options.host = std::move(host);
  options.port = port;
  // Cloud Run sends up to 1000 requests at once; probes and idle connections come on top.
  options.connections_max = 1100;
  // Function Compute's proxy keeps connections for 15 minutes and wants no shorter limit.
  options.idle_time_max = std::chrono::minutes(15);
  return options;
}

Result<std::unique_ptr<Service>> Service::start(const ServiceOptions& options) {
  auto service = std::unique_ptr<Service>(new Service(options));
  Service* raw = service.get();
  THAW_TRY(server, http::Server::start(options.server,
                                       [raw](http::Request& request, http::ResponseWriter& writer) {
                                         raw->serve(request, writer);
                                       }));
  service->server_ = std::move(server);
  return service;
}

Service::~Service() {
  if (server_ != nullptr) drain();
}

void Service::open(Answer answer, const handler::Gate* load) {
  {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    load_ = load;
    if (state_ == State::kOpening) state_ = State::kOpen;
  }
  changed_.notify_all();
}

bool Service::finish(std::uint32_t besides) {
  std::unique_lock lock(mutex_);
  state_ = State::kDraining;
  changed_.notify_all();
  server_->close_after_answers();
  return changed_.wait_for(lock, options_.drain_time_max, [&] { return in_flight_ <= besides; });
}

bool Service::drain() {
  const bool finished = finish(0);
  // Those that are left see that nobody waits for them, and end within a token.
  server_->stop(kCutTime);
  return finished;
}

std::optional<handler::Closed> Service::closed() const {
  const handler::Gate* load = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kOpening) return kLoading;
    if (state_ == State::kDraining) return kDraining;
    load = load_;
  }
  return load == nullptr ? std::nullopt : load->closed();
}

std::vector<handler::Gauge> Service::gauges() const {
  const handler::Gate* load = nullptr;
  {
    const std::lock_guard lock(mutex_);
    load = load_;
  }
  std::vector<handler::Gauge> all;
  if (load != nullptr) all = load->gauges();
  all.push_back({"thaw_connections", "Open HTTP connections.", "",
                 static_cast<double>(server_->connections())});
  return all;
}

bool Service::wait_until_open(const http::ResponseWriter& writer) {
  const auto give_up = system_clock().now() + options_.opening_time_max;
  std::unique_lock lock(mutex_);
  while (state_ == State::kOpening && system_clock().now() < give_up && !writer.cancelled()) {
    changed_.wait_for(lock, kLookEvery, [&] { return state_ != State::kOpening; });
  }
  return answer_ != nullptr;
}

void Service::serve(http::Request& request, http::ResponseWriter& writer) {
  {
    const std::lock_guard lock(mutex_);
    ++in_flight_;
  }
  const std::string_view path = request.path();
  bool is_open = false;
  if (path == "/healthz" || path == "/readyz") {  // probes are not kept waiting
    const std::lock_guard lock(mutex_);
    is_open = answer_ != nullptr;
  } else {
    is_open = wait_until_open(writer);
  }
  if (is_open) {
    answer_(request, writer);
  } else if (path == "/healthz") {
    (void)writer.send(200, {{"content-type", "application/json"}}, R"({"status":"ok"})");
  } else {
    const std::string id = request_id_of(request.headers(), {"x-request-id"});
    send(writer, handler::closed_response(closed().value_or(kLoading), id));
  }
  const std::lock_guard lock(mutex_);
  --in_flight_;
  changed_.notify_all();
}

}  // namespace thaw::web
