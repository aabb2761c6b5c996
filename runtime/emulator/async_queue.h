// Runs what was accepted asynchronously: in the background, again after a failure, and again after
// a restart, until it has ended and whoever is to hear of its end has.
//
// At least once: an event whose end had not reached the disk when the emulator was killed runs once
// more. Never less: what accept() has taken is on disk (event_log.h).
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/state_files.h"
#include "runtime/emulator/async_settings.h"
#include "runtime/emulator/destination.h"
#include "runtime/emulator/event_log.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {

// Thread-safe.
class AsyncQueue {
 public:
  static constexpr std::size_t kWorkers = 16;               // events that run at the same time
  static constexpr std::size_t kWorkersOfOneFunction = 12;  // where there are several
  static constexpr int kDeliveriesMax = 3;                  // attempts to reach a destination

  // All outlive it. Reads what is left from before, and runs it.
  // Errors: those of EventLog::open().
  static Result<std::unique_ptr<AsyncQueue>> open(Fleet& fleet, AsyncSettings& settings,
                                                  const Options& options, Clock& clock,
                                                  Files& files, StateFiles& state_files,
                                                  LogSink log);
  // Precondition: stop_taking() was called and the fleet has shut down, or nothing runs.
  ~AsyncQueue();

  // Errors: kLimit, kIo (see EventLog::accept), kUnavailable (it has stopped); then it does not
  // run.
  Result<Done> accept(AcceptedEvent event);

  // From now on nothing is taken or begun, and what fails has not failed: it runs after a restart.
  void stop_taking();

  std::size_t size() const { return log_->size(); }  // events that have not ended

 private:
  struct Work {
    LiveEvent event;
    std::uint32_t throttles = 0;  // in a row
  };
  struct Line {  // of one function
    std::multimap<Clock::Monotonic, Work> waiting;
    std::size_t running = 0;
  };
  enum class Ending : unsigned char { kEnded, kAgain, kStopped };

  AsyncQueue(Fleet& fleet, AsyncSettings& settings, const Options& options, Clock& clock,
             StateFiles& state_files, LogSink log);
  void enqueue(Work work, Clock::Monotonic due);  // under the lock
  void work_off();
  Ending run(Work& work, Clock::Monotonic& due);
  Ending failed(Work& work, const EventInvokeConfig& config, const Completion& completion,
                Clock::Monotonic& due);
  Ending end(const Work& work, const EventInvokeConfig& config, std::string_view condition,
             std::optional<std::string> response);
  bool deliver(const std::string& destination, const InvocationRecord& record, bool dead_letter);
  Result<Done> deliver_once(const Destination& destination, const std::string& document,
                            const InvocationRecord& record);
  Result<Done> append_line(const std::string& path, const std::string& line);
  Clock::Monotonic after(std::chrono::nanoseconds time) const;
  bool pause_for(std::chrono::nanoseconds time);  // false: it stops

  Fleet& fleet_;
  AsyncSettings& settings_;
  const Options& options_;
  Clock& clock_;
  StateFiles& state_files_;
  LogSink say_;
  Ids ids_;
  std::unique_ptr<EventLog> log_;
  std::mutex file_mutex_;  // one line after the other in a destination's file

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<std::string, Line, std::less<>> lines_;
  bool ending_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace thaw::emulator
