// The functions of an emulator and their instances: leases one for an invocation from the pool, has
// it answered within the time limit, and does the platform's bookkeeping around it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/emulator/instance.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/options.h"
#include "warmpool/pool.h"

namespace thaw::emulator {

// How an invocation ended.
struct Completion {
  enum class Kind : unsigned char {
    kDone,         // `failure` or the answer
    kThrottled,    // refused by a limit
    kUnavailable,  // the emulator stops
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

// Thread-safe.
class Fleet final : private warmpool::Host {
 public:
  // `clock` outlives it. Errors: kInvalid (a function named twice, limits that contradict each
  // other).
  static Result<std::unique_ptr<Fleet>> create(const Options& options, Clock& clock, LogSink log);
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

 private:
  struct Granted {
    warmpool::Lease lease;
    std::optional<InstanceEnd> failed_start;
    std::optional<warmpool::Refusal> refusal;
  };

  Fleet(const Options& options, Clock& clock, LogSink log);
  warmpool::Instance& start(std::string_view function, warmpool::InstanceId id,
                            warmpool::StartFor why) override;
  void retired(warmpool::InstanceId id) override;
  void keep_house();
  Granted lease(const FunctionOptions& function);
  void release(const warmpool::Lease& lease, warmpool::Use use);
  Completion drive(const FunctionOptions& function, const warmpool::Lease& lease,
                   const std::shared_ptr<Invocation>& invocation, Caller& caller);
  void report(const FunctionOptions& function, const warmpool::Lease& lease,
              const Invocation& invocation, std::chrono::nanoseconds duration,
              const std::optional<Failure>& failure);

  Options options_;
  Clock& clock_;
  LogSink log_;
  std::map<std::string, FunctionOptions, std::less<>> functions_;  // immutable once created

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  warmpool::Pool pool_;
  std::map<std::string, std::uint32_t, std::less<>> reserved_;
  std::map<warmpool::InstanceId, std::unique_ptr<Instance>> instances_;
  std::vector<std::unique_ptr<Instance>> retired_;  // to be destroyed outside the lock
  const InstanceEnd* failed_start_ = nullptr;       // while gone() is told of it
  bool ending_ = false;
  std::thread housekeeper_;
};

}  // namespace thaw::emulator
