// One instance: a bootstrap process, the extensions beside it, the APIs that they speak to, and the
// thread that watches over all of it from start to end.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "runtime/emulator/extensions.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/platform_events.h"
#include "runtime/emulator/process.h"
#include "runtime/emulator/runtime_api.h"
#include "runtime/emulator/telemetry.h"
#include "warmpool/instance.h"

namespace thaw::emulator {

// Told one line at a time, without its newline, from many threads.
using LogSink = std::function<void(std::string_view line)>;

inline constexpr std::string_view kOnDemand = "on-demand";
inline constexpr std::string_view kProvisioned = "provisioned-concurrency";
inline constexpr std::string_view kSnapStart = "snap-start";

struct InstanceOptions {
  std::string function;  // what its output lines are marked with
  std::string handler;   // as extensions are told
  std::string init_type{kOnDemand};
  ProcessOptions process;                // without AWS_LAMBDA_RUNTIME_API
  std::vector<std::string> extensions;   // paths of executables, run in the process's environment
  std::chrono::milliseconds init_max{};  // until everybody asks for the first event
  // A second attempt gets this long, as AWS gives one under the function's own limit; 0: none.
  std::chrono::milliseconds init_again_max{};
  std::uint64_t memory_bytes_max = 0;  // of its own, see memory_watch.h; 0: no limit
  std::uint32_t concurrency = 1;       // events at once
  LogFormat log_format = LogFormat::kText;
  std::uint64_t seed = 0;  // of identifiers
  std::string evict;       // a file whose pages leave the page cache before a start; empty: none
  enum class Sabotage : unsigned char { kNone, kCrash, kHang } sabotage = Sabotage::kNone;
};

// How an instance ended.
struct InstanceEnd {
  std::string type;     // "Runtime.ExitError"
  std::string message;  // what AWS's side says of it
  std::string said;     // the document that the runtime itself gave at /init/error, or empty

  Failure failure(std::string_view request_id) const;
};

// Called from the instance's threads; each at most once, `gone` always.
struct InstanceEvents {
  std::function<void()> ready;
  std::function<void(const InstanceEnd& end)> gone;
};

// Thread-safe.
class Instance final : public warmpool::Instance {
 public:
  // AWS's times to end: with nobody registered at once, with an internal extension, with an
  // external one, the runtime's part of that.
  static constexpr std::chrono::milliseconds kInternalGrace{500}, kExternalGrace{2000},
      kRuntimeGrace{300};
  static constexpr std::chrono::milliseconds kRestoreMax{10'000};  // AWS's, hooks included

  // Starts at once, on a thread of its own. `clock` outlives it.
  Instance(InstanceOptions options, InstanceEvents events, Clock& clock, LogSink log);
  // Waits for its thread; gone() must have been called or stop() or kill().
  ~Instance() override;

  void stop() override;    // SIGTERM and SHUTDOWN to who asked for them, SIGKILL in the end
  void pause() override;   // SIGSTOP to all of it
  void resume() override;  // SIGCONT
  // Kills the runtime and tells extensions that it was a "timeout" or a "failure".
  void reset(std::string_view reason);
  void kill();  // SIGKILL to all of it

  // Precondition of these: ready.
  void give(std::shared_ptr<Invocation> invocation);
  // Until the runtime and the extensions are done with that event.
  bool wait_idle(std::string_view request_id, Clock::Monotonic until);
  // What the start took, without what a SnapStart or a provisioned one does ahead of invocations.
  std::chrono::nanoseconds init_time() const { return init_time_; }
  std::chrono::nanoseconds restore_time() const { return restore_time_; }
  // What the second attempt took, of the time of the invocation that waited for it.
  std::chrono::nanoseconds init_again_time() const { return init_again_time_; }
  // The most memory it had, pages of files included; 0 where that cannot be known.
  std::uint64_t peak_bytes() const;
  bool out_of_memory() const { return out_of_memory_; }  // that was its end
  bool stopping() const { return stop_ || kill_; }
  const std::string& function() const { return options_.function; }
  // "init", "frozen", "idle", "running", "held", "ending"
  std::string_view state_name() const;
  pid_t pid() const;  // of the runtime; 0: none
  // Pauses what is under way, by hand, or lets it go on.
  void hold(bool holds);

  // Collects what is logged from now on, for `X-Amz-Log-Result`: its last kTailBytes.
  void begin_tail();
  // A word of the platform's own, for the log and for telemetry.
  void tell(const PlatformEvent& event);
  void log_line(std::string_view line);
  std::string take_tail();

  static constexpr std::size_t kTailBytes = 4096;      // as AWS gives back
  static constexpr std::size_t kLineBytes = 64 << 10;  // a longer line is broken up

 private:
  enum class Init : unsigned char { kStarting, kReady, kGivenUp };
  using Time = std::chrono::steady_clock::time_point;

  // A process of it, and the line that it has begun to write.
  struct Child {
    std::unique_ptr<Process> process;
    std::string name;  // of an extension; empty: the runtime
    std::string line;
    bool silent = false;  // it closed its output
  };
  // What is known of one attempt while it is watched.
  struct Attempt {
    InitPhase phase = InitPhase::kInit;
    Time init_limit;
    std::optional<Time> runtime_kill_at, kill_at;
    std::optional<Time> restore_limit;
    Time group_scan_at{};
    bool runtime_started = false, runtime_gone = false, stopping = false, told_shutdown = false;
    std::optional<InstanceEnd> end;
  };

  void run();
  // One attempt from start to end; nothing when it was too slow to initialise.
  std::optional<InstanceEnd> live(InitPhase phase, std::chrono::milliseconds init_max);
  std::optional<InstanceEnd> start_processes(Attempt& attempt);
  std::optional<InstanceEnd> start_runtime(Attempt& attempt);
  void check_ready(InitPhase phase);
  void watch(Attempt& attempt);
  void act(Attempt& attempt, Time now);
  void begin_stop(Attempt& attempt, Time now);
  void restore(Attempt& attempt, Time now);
  void watch_memory(Attempt& attempt, Time now);
  void reap(Attempt& attempt, Time now);
  void runtime_ended(Attempt& attempt, const Exit& exit, Time now);
  void wait(const Attempt& attempt);
  void signal_all(void (Process::*what)());
  void kill_runtime();
  void read_output(Child& child);
  void take_output(Child& child, std::string_view bytes, bool ended);
  void emit(std::string_view line);
  void wake();

  const InstanceOptions options_;
  const InstanceEvents events_;
  Clock& clock_;
  const LogSink log_;
  int wake_ = -1;  // an eventfd
  std::atomic<Init> init_{Init::kStarting};
  std::atomic<bool> told_ready_{false};  // events_.ready() has returned
  std::atomic<bool> stop_{false}, kill_{false}, runtime_ready_{false}, parked_{false};
  std::atomic<bool> paused_{false}, held_{false}, busy_{false}, out_of_memory_{false};
  std::atomic<std::uint64_t> peak_bytes_{0};
  // Written before ready is told:
  std::chrono::nanoseconds init_time_{}, restore_time_{}, init_again_time_{};
  Time started_{}, restored_at_{};
  // These change only before ready:
  std::unique_ptr<Extensions> extensions_;
  std::unique_ptr<Telemetry> telemetry_;
  std::unique_ptr<RuntimeApi> api_;  // last: its threads use both

  mutable std::mutex mutex_;  // guards all below
  std::vector<Child> children_;
  std::string stop_reason_ = "spindown";
  bool tail_on_ = false;
  std::string tail_;

  std::thread thread_;
};

}  // namespace thaw::emulator
