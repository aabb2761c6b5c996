// The functions of an emulator and their instances: leases one for an invocation from the pool, has
// it answered within the time limit, and does the platform's bookkeeping around it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/emulator/faults.h"
#include "runtime/emulator/instance.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/ledger.h"
#include "runtime/emulator/options.h"
#include "warmpool/pool.h"

namespace thaw::emulator {

// How an invocation ended.
struct Completion {
  enum class Kind : unsigned char {
    kDone,         // `failure` or the answer
    kThrottled,    // refused by a limit
    kUnavailable,  // the emulator stops
    kLost,         // its caller is to lose the connection, on purpose
  };
  Kind kind = Kind::kDone;
  std::optional<Failure> failure;
  std::string message;                           // of the kinds that are not kDone
  std::optional<warmpool::Reason> refusal = {};  // of the kinds that are not kDone
  std::string log_tail;                          // START to REPORT, at most 4 KB
};

// Who waits for an answer. Called by Fleet::invoke() on its own thread.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual void begin(const AnswerHead& head) = 0;  // at most once, first
  virtual void part(std::string_view bytes) = 0;
  virtual void finish(const Completion& completion) = 0;  // exactly once, last
};

// What a function has at the moment.
struct FunctionState {
  std::string name;
  warmpool::Occupancy now;
  bool held = false;  // its instances are paused by hand
  struct One {
    warmpool::InstanceId id = 0;
    std::string_view state;  // "init", "frozen", "idle", "running", "held", "ending"
    pid_t pid = 0;
    std::uint64_t peak_bytes = 0;
  };
  std::vector<One> instances;  // the oldest first
};

// Thread-safe.
class Fleet final : private warmpool::Host {
 public:
  // `clock` and `ledger` outlive it. Errors: kInvalid (a function named twice, limits that
  // contradict each other); kNotFound, kLimit (the folder of extensions).
  static Result<std::unique_ptr<Fleet>> create(const Options& options, Clock& clock, LogSink log,
                                               Ledger& ledger);
  // Precondition: no invoke() is in progress.
  ~Fleet() override;

  const FunctionOptions* find(std::string_view function) const;  // null where there is none
  const std::map<std::string, FunctionOptions, std::less<>>& functions() const {
    return functions_;
  }

  // What is reserved for the function; nothing where it shares what the others leave.
  std::optional<std::uint32_t> reserved_concurrency(std::string_view function) const;
  // From now on; what is under way goes on. Precondition: find(function).
  // Errors: kInvalid (the limits of the account or the function forbid it).
  Result<Done> set_reserved_concurrency(std::string_view function,
                                        std::optional<std::uint32_t> reserved);

  // Has `invocation` answered, and returns when its instance is free again or gone. The caller
  // hears the end as soon as it is known. Precondition: find(function).
  void invoke(std::string_view function, const std::shared_ptr<Invocation>& invocation,
              Caller& caller);

  // Kills what is under way, stops what is idle, refuses what comes. Returns at once.
  void shut_down();

  std::size_t instance_count() const;
  std::vector<FunctionState> overview() const;

  // By hand, of a function's instances; a name that is none of ours changes nothing.
  void renew(std::string_view function);  // whoever asks next gets a new one
  void hold(std::string_view function);   // stops those under way, or lets them go on
  void kill(std::string_view function);

 private:
  struct Granted {
    warmpool::Lease lease;
    std::optional<InstanceEnd> failed_start;
    std::optional<warmpool::Refusal> refusal;
  };

  struct Driven {
    Completion completion;
    bool fit = true;    // the instance, for another
    bool idle = false;  // and it waits for it already
  };

  Fleet(const Options& options, Clock& clock, LogSink log, Ledger& ledger);
  warmpool::Instance& start(std::string_view function, warmpool::InstanceId id,
                            warmpool::StartFor why) override;
  void retired(warmpool::InstanceId id) override;
  void keep_house();
  InstanceOptions instance_options(const FunctionOptions& function, warmpool::InstanceId id,
                                   warmpool::StartFor why);
  Granted lease(const FunctionOptions& function);
  void release(const warmpool::Lease& lease, warmpool::Use use);
  void refuse(const warmpool::Refusal& refusal, LedgerEntry record, Caller& caller);
  void fail_start(const FunctionOptions& function, const InstanceEnd& end,
                  const Invocation& invocation, LedgerEntry record, Caller& caller);
  Driven drive(const FunctionOptions& function, const warmpool::Lease& lease,
               const std::shared_ptr<Invocation>& invocation, Caller& caller, LedgerEntry& record);
  static void settle(const warmpool::Lease& lease, Clock::Wall begun, Report& report,
                     LedgerEntry& record);
  Failure time_out(const FunctionOptions& function, Instance& instance, Invocation& invocation);

  Options options_;
  Clock& clock_;
  LogSink log_;
  Ledger& ledger_;
  Faults faults_;
  std::vector<std::string> extensions_;                            // paths; immutable once created
  std::map<std::string, FunctionOptions, std::less<>> functions_;  // immutable once created
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  warmpool::Pool pool_;
  std::map<std::string, std::uint32_t, std::less<>> reserved_;
  std::map<warmpool::InstanceId, std::unique_ptr<Instance>> instances_;
  std::vector<std::unique_ptr<Instance>> retired_;  // to be destroyed outside the lock
  std::set<std::string, std::less<>> held_;         // functions paused by hand
  const InstanceEnd* failed_start_ = nullptr;       // while gone() is told of it
  bool ending_ = false;
  std::thread housekeeper_;
};

}  // namespace thaw::emulator
