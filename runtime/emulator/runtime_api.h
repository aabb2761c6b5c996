// The platform's side of the Runtime API for one instance: hands events out at /next, takes answers
// and errors in, and refuses what comes out of turn as AWS does.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/emulator/invocation.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

// Thread-safe.
class RuntimeApi {
 public:
  // Listens on a free port of the loopback. `on_ready` is called once, from a connection's thread,
  // when the runtime first asks for an event.
  // Errors: as http::Server::start.
  static Result<std::unique_ptr<RuntimeApi>> start(std::function<void()> on_ready);
  ~RuntimeApi();

  std::string authority() const { return server_->authority(); }  // AWS_LAMBDA_RUNTIME_API

  // The next event for the runtime. Precondition: idle() or ended.
  void give(std::shared_ptr<Invocation> invocation);

  // The process behind it has ended: waits, for `time_max` at most, until what it had sent of an
  // answer has been read, so that nothing of it is lost to end().
  void drain(std::chrono::milliseconds time_max);

  // The process behind it has ended or was told to: an invocation in progress ends with `failure`,
  // and nothing is handed out any more. Idempotent.
  void end(const std::function<Failure(std::string_view request_id)>& failure);

  // Waits until the runtime asks for its next event; false when `until` passed or after end().
  bool wait_idle(Clock::Monotonic until);
  bool ready() const;  // the runtime has asked for its first event
  // What the runtime said in /init/error.
  std::optional<Failure> init_failure() const;

 private:
  enum class State : unsigned char {
    kStarting,   // before the first /next
    kIdle,       // waits in /next
    kInvoked,    // has an event, has not answered
    kAnswering,  // its answer is being read
    kAnswered,   // and done; /next is due
  };

  explicit RuntimeApi(std::function<void()> on_ready) : on_ready_(std::move(on_ready)) {}
  void serve(http::Request& request, http::ResponseWriter& writer);
  void next(http::ResponseWriter& writer);
  void answer(std::string_view request_id, bool is_error, http::Request& request,
              http::ResponseWriter& writer);
  void take_buffered(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void take_stream(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void take_error(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void init_error(http::Request& request, http::ResponseWriter& writer);
  void answered();
  void await_end();

  std::function<void()> on_ready_;
  mutable std::mutex mutex_;  // guards all below but server_
  std::condition_variable changed_;
  State state_ = State::kStarting;
  bool ended_ = false;
  bool cut_short_ = false;  // an answer's body broke off: all of it that came has been read
  // Shared with the thread that serves the caller, which may give up first.
  std::shared_ptr<Invocation> pending_;
  std::shared_ptr<Invocation> current_;
  std::optional<Failure> init_failure_;
  std::unique_ptr<http::Server> server_;  // last: its threads use what is above
};

}  // namespace thaw::emulator
