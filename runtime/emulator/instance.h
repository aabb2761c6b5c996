// One instance: a bootstrap process, the Runtime API that it speaks to, and the thread that watches
// over both from start to end.
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
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/process.h"
#include "runtime/emulator/runtime_api.h"
#include "warmpool/pool.h"

namespace thaw::emulator {

// Told one line at a time, without its newline, from many threads.
using LogSink = std::function<void(std::string_view line)>;

struct InstanceOptions {
  std::string function;                  // what its output lines are marked with
  ProcessOptions process;                // without AWS_LAMBDA_RUNTIME_API
  std::chrono::milliseconds init_max{};  // until it asks for its first event
  // A second attempt gets this long, as AWS gives one under the function's own limit.
  std::chrono::milliseconds init_again_max{};
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
  // Starts at once, on a thread of its own.
  Instance(InstanceOptions options, InstanceEvents events, LogSink log);
  // Waits for its thread; gone() must have been called or stop() or kill().
  ~Instance() override;

  void stop() override;  // SIGTERM, SIGKILL where that does not help
  void kill();           // SIGKILL

  // Precondition of these: ready.
  void give(std::shared_ptr<Invocation> invocation);
  bool wait_idle(Clock::Monotonic until);
  std::chrono::nanoseconds init_time() const { return init_time_; }
  std::uint64_t peak_bytes() const;

  // Collects what is logged from now on, for `X-Amz-Log-Result`: its last kTailBytes.
  void begin_tail();
  // Adds a line of the platform's own, and gives it to the log.
  void log_line(std::string_view line);
  std::string take_tail();

  static constexpr std::size_t kTailBytes = 4096;      // as AWS gives back
  static constexpr std::size_t kLineBytes = 64 << 10;  // a longer line is broken up

 private:
  enum class Init : unsigned char { kStarting, kReady, kGivenUp };

  void run();
  // One process from start to end; nothing when it was too slow to initialise.
  std::optional<InstanceEnd> live(std::chrono::milliseconds init_max);
  void watch(std::chrono::steady_clock::time_point init_limit);
  void read_output();
  void take_output(std::string_view bytes, bool ended);
  void emit(std::string_view line);
  void wake();

  InstanceOptions options_;
  InstanceEvents events_;
  LogSink log_;
  int wake_ = -1;  // an eventfd
  std::atomic<Init> init_{Init::kStarting};
  std::atomic<bool> stop_{false};
  std::atomic<bool> kill_{false};
  std::chrono::nanoseconds init_time_{};  // written before ready is told
  std::chrono::steady_clock::time_point started_{};
  std::unique_ptr<RuntimeApi> api_;  // changes only before ready

  mutable std::mutex output_mutex_;  // guards all below
  std::unique_ptr<Process> process_;
  std::string line_;  // the beginning of one
  bool tail_on_ = false;
  std::string tail_;

  std::thread thread_;
};

}  // namespace thaw::emulator
