#include "runtime/emulator/emulator.h"

#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <random>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/async_queue.h"
#include "runtime/emulator/callers.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/front.h"
#include "runtime/emulator/metrics_page.h"
#include "runtime/http/server.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

constexpr std::size_t kNameBytesMax = 64;  // AWS's
constexpr std::chrono::milliseconds kTimeoutMax = std::chrono::hours(24);
// What a caller still gets after stop(): the error documents of what was under way.
constexpr std::chrono::milliseconds kStopGrace{1000};

Result<Done> check(const Options& options) {
  std::error_code ignored;
  if (::access(options.bootstrap.c_str(), X_OK) != 0) {
    return fail(Code::kNotFound, cat("emulate: bootstrap '", options.bootstrap,
                                     "': no executable there; build it, or name it with "
                                     "--bootstrap"));
  }
  if (options.functions.empty()) return fail(Code::kInvalid, "emulate: no functions");
  if (options.state_directory.empty()) {
    return fail(Code::kInvalid, "emulate: no directory for asynchronous events; name one");
  }
  if (!(options.retry_scale >= 0) || options.retry_scale > 1000) {
    return fail(Code::kInvalid, "emulate: the scale of retries' waits: want 0 to 1000");
  }
  for (const FunctionOptions& function : options.functions) {
    constexpr std::string_view kLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (function.name.empty() || function.name.size() > kNameBytesMax ||
        function.name.find_first_not_of(kLetters) != std::string::npos) {
      return fail(Code::kInvalid, cat("emulate: function name '", function.name,
                                      "': want 1 to 64 letters, digits, '-' and '_'"));
    }
    if (function.timeout <= std::chrono::milliseconds(0) || function.timeout > kTimeoutMax) {
      return fail(Code::kInvalid, cat("emulate: function '", function.name, "': timeout of ",
                                      function.timeout.count(), " ms, want 1 ms to a day"));
    }
    if (const auto sound = check(function.asynchronous); !sound) {
      return fail(Code::kInvalid,
                  cat("emulate: function '", function.name, "': ", sound.error().message));
    }
    if (!function.dead_letter.empty()) THAW_TRY_DO(parse_destination(function.dead_letter));
    if (!std::filesystem::exists(function.snapshot, ignored)) {
      return fail(Code::kNotFound, cat("emulate: function '", function.name, "': snapshot '",
                                       function.snapshot, "': no such file"));
    }
  }
  for (const Api& api : options.apis) THAW_TRY_DO(check(api));
  return Done{};
}

}  // namespace

// The house, ground floor first: members are destroyed in the opposite order.
struct Emulator::State {
  explicit State(Clock& given) : clock(given) {}
  Clock& clock;
  Options options;
  std::unique_ptr<Ids> ids;
  AsyncSettings settings;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<AsyncQueue> queue;
  std::unique_ptr<InvokeApi> invoke;
  std::unique_ptr<ControlApi> control;
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<Front> front;
  std::unique_ptr<http::Server> server;

  std::mutex mutex;  // guards the two below
  std::condition_variable changed;
  bool stopping = false;
  std::size_t invoking = 0;  // calls of Emulator::invoke()

  void serve_metrics(const http::Request& request, http::ResponseWriter& writer) const {
    if (request.method() != "GET") {
      (void)writer.send(405, {{"Allow", "GET"}, {"Content-Type", "text/plain"}}, "GET it\n");
      return;
    }
    (void)writer.send(200, {{"Content-Type", "text/plain; version=0.0.4"}},
                      metrics_page(ledger->totals(), fleet->overview()));
  }
};

Result<std::unique_ptr<Emulator>> Emulator::start(const Options& given, Clock& clock, LogSink log,
                                                  Files& files, StateFiles& state_files) {
  THAW_TRY_DO(check(given));
  auto state = std::make_unique<State>(clock);
  state->options = given;
  const Options& options = state->options;
  state->ids =
      std::make_unique<Ids>((std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}());
  for (const FunctionOptions& function : options.functions) {
    const EventInvokeConfig& config = function.asynchronous;
    const bool set = config.retries_max || config.age_max || !config.on_success.empty() ||
                     !config.on_failure.empty();
    if (set) state->settings.set(function.name, "", config);
  }
  state->ledger = std::make_unique<Ledger>(options.recorded);
  THAW_TRY(fleet, Fleet::create(options, clock, log, *state->ledger));
  state->fleet = std::move(fleet);
  THAW_TRY(queue, AsyncQueue::open(*state->fleet, state->settings, options, clock, files,
                                   state_files, log));
  state->queue = std::move(queue);
  state->invoke =
      std::make_unique<InvokeApi>(*state->fleet, *state->queue, options, clock, *state->ids, log);
  state->control =
      std::make_unique<ControlApi>(*state->fleet, state->settings, options, clock, files);
  state->gateway =
      std::make_unique<Gateway>(*state->fleet, *state->queue, options, clock, *state->ids, log);
  state->front = std::make_unique<Front>(*state->fleet, *state->control, *state->invoke,
                                         *state->gateway, *state->ids);
  http::ServerOptions server_options;
  server_options.host = options.host;
  server_options.port = options.port;
  server_options.connections_max = options.connections_max;
  server_options.body_bytes_max = lambda::kPayloadBytesMax;
  THAW_TRY(server,
           http::Server::start(server_options, [raw = state.get()](http::Request& request,
                                                                   http::ResponseWriter& writer) {
             if (request.path() == kMetricsPath) {
               return raw->serve_metrics(request, writer);
             }
             raw->front->serve(request, writer);
           }));
  state->server = std::move(server);
  return std::unique_ptr<Emulator>(new Emulator(std::move(state)));
}

Emulator::Emulator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Emulator::~Emulator() { stop(); }

std::uint16_t Emulator::port() const { return state_->server->port(); }
std::string Emulator::authority() const { return state_->server->authority(); }
std::size_t Emulator::instance_count() const {
  return state_->fleet ? state_->fleet->instance_count() : 0;
}

const Ledger& Emulator::ledger() const { return *state_->ledger; }
Fleet& Emulator::fleet() { return *state_->fleet; }

Emulator::Outcome Emulator::invoke(std::string_view function, std::string event) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopping) return {{Completion::Kind::kUnavailable, {}, "it stops", {}, {}}, ""};
    ++state_->invoking;
  }
  auto invocation = std::make_shared<Invocation>();
  invocation->request_id = state_->ids->request_id();
  invocation->invocation_id = state_->ids->request_id();
  invocation->function_arn = function_arn(state_->options, function);
  invocation->trace_id = state_->ids->trace_id(state_->clock.wall_now());
  invocation->event = std::move(event);
  BufferedCaller caller(invocation->request_id);
  state_->fleet->invoke(function, invocation, caller);
  const std::lock_guard lock(state_->mutex);
  --state_->invoking;
  state_->changed.notify_all();
  return {caller.completion(), caller.body()};
}

Result<Done> Emulator::accept(std::string_view function, std::string event) {
  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) return fail(Code::kUnavailable, "accept an event: the emulator stops");
  AcceptedEvent accepted;
  accepted.function = function;
  accepted.request_id = state_->ids->request_id();
  accepted.trace_id = state_->ids->trace_id(state_->clock.wall_now());
  accepted.event = std::move(event);
  return state_->queue->accept(std::move(accepted));
}

void Emulator::stop() {
  if (!state_->fleet) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->queue->stop_taking();
  state_->fleet->shut_down();
  {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->invoking == 0; });
  }
  state_->server->stop(kStopGrace);
  state_->front.reset();
  state_->gateway.reset();
  state_->control.reset();
  state_->invoke.reset();
  state_->queue.reset();
  state_->fleet.reset();
}

}  // namespace thaw::emulator
