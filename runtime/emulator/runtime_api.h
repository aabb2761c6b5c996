// The platform's side of the Runtime API for one instance: hands events out at /next, takes answers
// and errors in, and refuses what comes out of turn as AWS does. The instance's Extensions and
// Telemetry APIs are at the same port.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/emulator/extensions.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/telemetry.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

struct RuntimeApiOptions {
  std::uint32_t concurrency = 1;  // events that the runtime may have at once
  bool restores = false;          // SnapStart: /restore/next is there
};

// Called from connections' threads, without a lock held; each at most once.
struct RuntimeApiEvents {
  std::function<void()> ready;   // the runtime asked for its first event
  std::function<void()> parked;  // it asked at /restore/next, and waits there
};

// Thread-safe.
class RuntimeApi {
 public:
  // Listens on a free port of the loopback. `extensions` and `telemetry` outlive it.
  // Errors: as http::Server::start.
  static Result<std::unique_ptr<RuntimeApi>> start(const RuntimeApiOptions& options,
                                                   RuntimeApiEvents events, Extensions& extensions,
                                                   Telemetry& telemetry,
                                                   std::function<void(const PlatformEvent&)> tell);
  ~RuntimeApi();

  std::string authority() const { return server_->authority(); }  // AWS_LAMBDA_RUNTIME_API

  // The next event for the runtime. Precondition: it has fewer than it may have at once, or ended.
  void give(std::shared_ptr<Invocation> invocation);

  // Lets a runtime that is parked go on from /restore/next.
  void restore();

  // The process behind it has ended: waits, for `time_max` at most, until what it had sent of an
  // answer has been read, so that nothing of it is lost to end().
  void drain(std::chrono::milliseconds time_max);

  // The process behind it has ended or was told to: an invocation in progress ends with `failure`,
  // and nothing is handed out any more. Idempotent.
  void end(const std::function<Failure(std::string_view request_id)>& failure);

  // Waits until the runtime is done with that event and, where it has one at a time, asks for the
  // next one; false when `until` passed or after end().
  bool wait_free(std::string_view request_id, Clock::Monotonic until);
  bool ready() const;  // the runtime has asked for its first event
  // What the runtime said in /init/error or /restore/error.
  std::optional<Failure> init_failure() const;

 private:
  struct Active {
    std::shared_ptr<Invocation> invocation;
    bool answering = false;  // its answer is being read
    bool cut_short = false;  // and broke off: all of it that came has been read
  };
  enum class Restore : unsigned char { kNone, kParked, kRestored };

  RuntimeApi(const RuntimeApiOptions& options, RuntimeApiEvents events, Extensions& extensions,
             Telemetry& telemetry, std::function<void(const PlatformEvent&)> tell);
  void serve(http::Request& request, http::ResponseWriter& writer);
  bool serve_runtime(http::Request& request, http::ResponseWriter& writer);
  void next(http::ResponseWriter& writer);
  void hand_out(const Invocation& invocation, http::ResponseWriter& writer) const;
  void restore_next(http::ResponseWriter& writer);
  void subscribe(http::Request& request, http::ResponseWriter& writer);
  void answer(std::string_view request_id, bool is_error, http::Request& request,
              http::ResponseWriter& writer);
  void take_buffered(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void take_stream(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void take_error(Invocation& invocation, http::Request& request, http::ResponseWriter& writer);
  void start_error(bool restoring, http::Request& request, http::ResponseWriter& writer);
  void answered(const Invocation& invocation);
  void await_end(const Invocation& invocation);

  const RuntimeApiOptions options_;
  const RuntimeApiEvents events_;
  Extensions& extensions_;
  Telemetry& telemetry_;
  const std::function<void(const PlatformEvent&)> tell_;
  mutable std::mutex mutex_;  // guards all below but server_
  std::condition_variable changed_;
  bool ready_ = false;
  bool ended_ = false;
  Restore restore_ = Restore::kNone;
  std::uint32_t polls_ = 0;  // that wait in /next
  // Shared with the thread that serves the caller, which may give up first.
  std::deque<std::shared_ptr<Invocation>> pending_;
  std::map<std::string, Active, std::less<>> active_;  // by request id
  std::string answered_;                               // the last one, until the next /next
  std::optional<Failure> init_failure_;
  std::unique_ptr<http::Server> server_;  // last: its threads use what is above
};

}  // namespace thaw::emulator
