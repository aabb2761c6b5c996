// The part of an instance that its thread does while its processes live: limits, signals, output.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/str.h"
#include "runtime/emulator/instance.h"
#include "runtime/emulator/memory_watch.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kDrainMax = 1000ms;       // for what a process sent before it ended
constexpr auto kFlushMax = 300ms;        // for telemetry that is still to be sent
constexpr auto kInitErrorGrace = 500ms;  // from /init/error to the exit that should follow
constexpr auto kWatchSlice = 100ms;      // how late a limit is noticed at most
constexpr auto kMemorySlice = 25ms;      // the same of the memory limit
constexpr auto kGroupSlice = 500ms;    // the same where it is a child of the runtime that takes it
constexpr auto kPausedSlice = 1000ms;  // between looks at what is stopped
constexpr auto kBlindSlice = 10ms;     // where the kernel has no pidfd

InstanceEnd end_of(const Exit& exit) {
  const bool silent = exit.signal == 0 && exit.code == 0;
  return {"Runtime.ExitError",
          silent ? std::string("Runtime exited without providing a reason")
                 : cat("Runtime exited with error: ", exit.text()),
          ""};
}

template <typename Time>
void sooner(std::optional<Time>& when, Time other) {
  if (!when || other < *when) when = other;
}

}  // namespace

// Until all processes have been reaped and their output read.
void Instance::watch(Attempt& attempt) {
  while (true) {
    const auto now = SteadyClock::now();
    act(attempt, now);
    reap(attempt, now);
    {
      const std::lock_guard lock(mutex_);
      const bool waits_for_runtime =
          !attempt.runtime_started && !attempt.stopping && !attempt.end && !kill_;
      if (children_.empty() && !waits_for_runtime) return;
    }
    wait(attempt);
  }
}

void Instance::act(Attempt& attempt, Time now) {
  if (stop_ && !attempt.stopping) begin_stop(attempt, now);
  if (!attempt.runtime_started && !attempt.stopping && !attempt.end && extensions_->registered()) {
    attempt.end = start_runtime(attempt);
    if (attempt.end) sooner(attempt.kill_at, now);
  }
  if (const auto failed = extensions_->failure(); failed && !attempt.end) {
    attempt.end = InstanceEnd{failed->type, "", failed->document};
    sooner(attempt.kill_at, now + kInitErrorGrace);
  }
  if (api_->init_failure() && !attempt.kill_at) attempt.kill_at = now + kInitErrorGrace;
  if (parked_ && !attempt.restore_limit) restore(attempt, now);
  const Time limit = attempt.restore_limit.value_or(attempt.init_limit);
  if (init_ == Init::kStarting && now >= limit) {
    Init expected = Init::kStarting;
    if (init_.compare_exchange_strong(expected, Init::kGivenUp)) sooner(attempt.kill_at, now);
  }
  if (attempt.runtime_kill_at && now >= *attempt.runtime_kill_at) kill_runtime();
  const bool runtime_over = attempt.runtime_gone || !attempt.runtime_started;
  if (attempt.stopping && runtime_over && !std::exchange(attempt.told_shutdown, true)) {
    std::string reason;
    {
      const std::lock_guard lock(mutex_);
      reason = stop_reason_;
    }
    const auto left = attempt.kill_at.value_or(now) - now;
    extensions_->shut_down(
        reason, clock_.wall_now() + std::chrono::duration_cast<Clock::Wall::duration>(left));
    telemetry_->flush(clock_.now() + kFlushMax);
  }
  if (kill_ || (attempt.kill_at && now >= *attempt.kill_at)) signal_all(&Process::kill);
  if (init_ != Init::kGivenUp && !paused_) watch_memory(attempt, now);
}

// As AWS: nobody registered, no time; else the runtime hears SIGTERM, and external extensions hear
// SHUTDOWN when it is gone.
void Instance::begin_stop(Attempt& attempt, Time now) {
  attempt.stopping = true;
  bool orderly = false;
  {
    const std::lock_guard lock(mutex_);
    orderly = stop_reason_ == "spindown";
  }
  telemetry_->pause(false);
  signal_all(&Process::resume);
  if (!extensions_->any()) {
    sooner(attempt.kill_at, now);
    return;
  }
  const bool external = extensions_->any_external();
  sooner(attempt.kill_at, now + (external ? kExternalGrace : kInternalGrace));
  attempt.runtime_kill_at = !orderly ? now : now + (external ? kRuntimeGrace : kInternalGrace);
  if (!orderly) return;
  const std::lock_guard lock(mutex_);
  for (const Child& child : children_) {
    if (child.name.empty()) child.process->terminate();
  }
}

// Here a platform would keep the memory, and every instance would begin as a copy of it. This one
// goes on itself, after a stop such as a copy has behind it.
void Instance::restore(Attempt& attempt, Time now) {
  tell(init_report(options_.init_type, attempt.phase, now - started_, ""));
  signal_all(&Process::pause);
  signal_all(&Process::resume);
  tell(restore_start());
  restored_at_ = SteadyClock::now();
  attempt.restore_limit = restored_at_ + kRestoreMax;
  api_->restore();
}

void Instance::watch_memory(Attempt& attempt, Time now) {
  std::vector<pid_t> pids;
  {
    const std::lock_guard lock(mutex_);
    for (const Child& child : children_) pids.push_back(child.process->pid());
  }
  const bool whole = now >= attempt.group_scan_at;
  if (whole) attempt.group_scan_at = now + kGroupSlice;
  HeldMemory sum;
  for (const pid_t pid : pids) {
    const HeldMemory one = whole ? memory_of_group(pid) : memory_of_process(pid);
    sum.own_bytes += one.own_bytes;
    sum.resident_bytes += one.resident_bytes;
  }
  peak_bytes_ = std::max(peak_bytes_.load(), sum.resident_bytes);
  if (options_.memory_bytes_max > 0 && sum.own_bytes > options_.memory_bytes_max) {
    out_of_memory_ = true;
    signal_all(&Process::kill);
  }
}

void Instance::reap(Attempt& attempt, Time now) {
  std::optional<Exit> runtime_exit;
  {
    const std::lock_guard lock(mutex_);
    for (auto child = children_.begin(); child != children_.end();) {
      const auto exit = child->process->exited();
      read_output(*child);  // after the look at exited(), so that the last words are not missed
      if (!exit) {
        ++child;
        continue;
      }
      take_output(*child, "", true);
      if (child->name.empty()) {
        peak_bytes_ = std::max(peak_bytes_.load(), child->process->peak_bytes());
        runtime_exit = *exit;
      } else if (!attempt.stopping && !attempt.end) {
        // What it said before it ended may have come since act() looked.
        const auto said = extensions_->failure();
        attempt.end =
            said ? InstanceEnd{said->type, "", said->document}
                 : InstanceEnd{"Extension.Crash",
                               cat("extension '", child->name, "' ended: ", exit->text()), ""};
        sooner(attempt.kill_at, now);
      }
      child = children_.erase(child);
    }
  }
  if (runtime_exit) runtime_ended(attempt, *runtime_exit, now);
}

void Instance::runtime_ended(Attempt& attempt, const Exit& exit, Time now) {
  attempt.runtime_gone = true;
  if (!attempt.end) attempt.end = end_of(exit);
  api_->drain(kDrainMax);
  api_->end([&](std::string_view id) { return attempt.end->failure(id); });
  extensions_->abandon();
  const bool external = extensions_->any_external();
  if (!attempt.stopping) {
    attempt.stopping = true;
    const std::lock_guard lock(mutex_);
    stop_reason_ = "failure";
  }
  sooner(attempt.kill_at, external ? now + kExternalGrace : now);
}

void Instance::wait(const Attempt& attempt) {
  std::vector<pollfd> waits{{wake_, POLLIN, 0}};
  bool blind = false;
  {
    const std::lock_guard lock(mutex_);
    for (const Child& child : children_) {
      if (!child.silent) waits.push_back({child.process->output(), POLLIN, 0});
      if (child.process->ended() >= 0) waits.push_back({child.process->ended(), POLLIN, 0});
      blind = blind || child.process->ended() < 0;
    }
  }
  auto slice = blind ? kBlindSlice : paused_ ? kPausedSlice : kWatchSlice;
  if (options_.memory_bytes_max > 0 && !paused_) slice = std::min(slice, kMemorySlice);
  const auto now = SteadyClock::now();
  for (const auto& when : {attempt.kill_at, attempt.runtime_kill_at}) {
    if (!when || *when <= now) continue;
    slice = std::min(slice, std::chrono::ceil<std::chrono::milliseconds>(*when - now));
  }
  ::poll(waits.data(), waits.size(), static_cast<int>(slice / 1ms));
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_, &count, sizeof count);
}

}  // namespace thaw::emulator
