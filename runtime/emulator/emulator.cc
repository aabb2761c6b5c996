#include "runtime/emulator/emulator.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/invoke_api.h"
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
    if (!std::filesystem::exists(function.snapshot, ignored)) {
      return fail(Code::kNotFound, cat("emulate: function '", function.name, "': snapshot '",
                                       function.snapshot, "': no such file"));
    }
  }
  return Done{};
}

}  // namespace

// The house, ground floor first: members are destroyed in the opposite order.
struct Emulator::State {
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<InvokeApi> api;
  std::unique_ptr<http::Server> server;
};

Result<std::unique_ptr<Emulator>> Emulator::start(const Options& options, Clock& clock,
                                                  LogSink log) {
  THAW_TRY_DO(check(options));
  auto state = std::make_unique<State>();
  THAW_TRY(fleet, Fleet::create(options, clock, log));
  state->fleet = std::move(fleet);
  state->api = std::make_unique<InvokeApi>(*state->fleet, options, clock, log);
  http::ServerOptions server_options;
  server_options.host = options.host;
  server_options.port = options.port;
  server_options.connections_max = options.connections_max;
  server_options.body_bytes_max = lambda::kPayloadBytesMax;
  THAW_TRY(server, http::Server::start(server_options,
                                       [api = state->api.get()](http::Request& request,
                                                                http::ResponseWriter& writer) {
                                         api->serve(request, writer);
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

void Emulator::stop() {
  if (!state_->fleet) return;
  state_->fleet->shut_down();
  state_->server->stop(kStopGrace);
  state_->api.reset();
  state_->fleet.reset();
}

}  // namespace thaw::emulator
