// Who stays warm: lends instances to invocations, within limits, and decides when to start another
// and when to let one go. Pure policy: no sockets, no threads, no processes; what it decides, a
// Host does, and time is a Clock's, so that it runs the same in a simulation. A call costs O(log n)
// in instances and waiting invocations, beside what it sets off.
//
// What holds after every call:
//   1 nothing is started for a function that has instances_max of starting + idle + leased +
//     stopping instances, nor beyond memory_bytes_max;
//   2 an instance has at most invocations_per_instance leases; one that is paused, starting,
//     stopping, recycled or gone is lent to nobody;
//   3 every acquire() is answered exactly once, by a lease or a refusal, unless it was cancelled;
//   4 what was accepted stays within limits: waiting + leases <= instances_max x
//     invocations_per_instance + queue_length_max of the function, and concurrency_max of all;
//   5 nobody waits beside an instance with room, nor for want of a start that the limits allow;
//   6 a function's waiting invocations are served in the order they came, and functions that wait
//     for memory get it in the order they asked;
//   7 an instance is started for an invocation that would otherwise go without, so failing starts
//     end with the invocations that asked; or to keep `provisioned` of them, after a failed start
//     not before kProvisionRetry (doubled by each further one, to kProvisionRetryMax); or because
//     the policy says so, once for each time that the function falls idle;
//   8 an idle instance is kept as long as its function's policy says, provisioned ones for ever,
//     and asked to stop at the first advance() after; sooner only where its memory is wanted, its
//     function's instances_max fell below what is there, it is recycled, or the function drains;
//   9 where `pauses` is set, an instance is paused exactly while it is on lease to nobody.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "warmpool/eviction.h"
#include "warmpool/instance.h"
#include "warmpool/keep_alive.h"
#include "warmpool/limits.h"
#include "warmpool/token_bucket.h"

namespace thaw::warmpool {

using LeaseId = std::uint64_t;  // never used twice
using Ticket = std::uint64_t;   // names one acquire(); never used twice

// An instance lent to an invocation, until Pool::release().
struct Lease {
  LeaseId id = 0;
  InstanceId instance_id = 0;
  Instance* instance = nullptr;  // lives at least until the lease is released
  bool first_use = false;        // nobody had it before
  bool provisioned = false;
  bool needs_reset = false;  // the last lease of it ended in kReset: begin its process anew
  StartFor started_for = StartFor::kInvocation;
};

// Why there is no lease, so that a platform can name it as its users know it.
enum class Reason : unsigned char {
  kUnknownFunction,         // kNotFound
  kFunctionConcurrency,     // kLimit: instances_max, and queue_length_max beyond it
  kTotalConcurrency,        // kLimit: concurrency_max, less what is reserved
  kFunctionInvocationRate,  // kLimit
  kTotalInvocationRate,     // kLimit
  kStartRate,               // kLimit
  kWaitedTooLong,           // kDeadline
  kStartFailed,             // the error that gone() was told
  kDraining,                // kUnavailable
  kShutDown,                // kUnavailable; kCancelled of those that waited
};

struct Refusal {
  Reason reason = Reason::kUnknownFunction;
  Error error;
};

using Answer = std::variant<Lease, Refusal>;

// Called exactly once, possibly before acquire() returns; must not call the pool.
using Grant = std::function<void(Answer)>;

// In what state a lease leaves its instance.
enum class Use : unsigned char {
  kReusable,
  kReset,   // its process broke and can be begun anew where it is: see Lease::needs_reset
  kBroken,  // fit for nobody: it is stopped once its other leases have ended
};

// What a function's part of the pool holds at the moment: instances by state, and invocations.
struct Occupancy {
  std::uint32_t starting = 0, idle = 0, leased = 0, stopping = 0;
  std::uint32_t provisioned = 0;  // of those that are not stopping
  std::uint64_t leases = 0;
  std::size_t waiting = 0;
  std::uint32_t live() const { return starting + idle + leased + stopping; }
};

// One thread at a time. `clock` and `host` outlive it.
class Pool {
 public:
  static constexpr std::chrono::seconds kProvisionRetry{1}, kProvisionRetryMax{64};

  Pool(Clock& clock, Host& host, const PoolLimits& limits = {});
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Starts what `limits` provision.
  // Errors: kInvalid (named twice; limits that contradict each other or the pool's; the policy's).
  Result<Done> add_function(std::string name, const FunctionLimits& limits);
  // From now on. What is under way goes on; idle instances beyond new limits are stopped; a policy
  // whose options don't change keeps what it has learnt.
  // Errors: kNotFound; kInvalid as above, and where invocations_per_instance changes.
  Result<Done> set_limits(std::string_view function, const FunctionLimits& limits);

  // Asks for an instance of `function`; `grant` hears a Lease or a Refusal. One who waits at
  // `deadline` hears kWaitedTooLong.
  Ticket acquire(std::string_view function, std::optional<Clock::Monotonic> deadline, Grant grant);

  // Forgets a waiting invocation: its Grant will not be called. False when it was answered already
  // (a lease that it was given must still be released).
  bool cancel(Ticket ticket);

  // Ends a lease. Precondition: `id` was granted and not yet released.
  void release(LeaseId id, Use use);

  // A starting instance is fit for invocations. Ignored when the pool has told it to stop.
  // Precondition here and below: `id` was started and not yet gone.
  void ready(InstanceId id);

  // An instance has ended, for whatever reason and in whatever state. When it was started for
  // invocations, had not become ready, and somebody is left without an instance by that, the one
  // who waited longest hears `why`. One that is on lease stays so until release().
  void gone(InstanceId id, Error why);

  // Does what is due: instances kept long enough, invocations that waited too long, predictions.
  void advance();
  // When advance() next has something to do; nothing when only an event can change anything.
  std::optional<Clock::Monotonic> due() const;

  // Replaces every instance that there is now: stopped at once, or when its leases have ended; who
  // asks from now on gets another. Errors: kNotFound.
  Result<Done> recycle(std::string_view function);

  // Serves who waits already, refuses who comes, and stops every instance as it falls idle; undone
  // by reopen(). Drained is who has neither live() instances nor waiting. Errors: kNotFound.
  Result<Done> drain(std::string_view function);
  Result<Done> reopen(std::string_view function);

  // Refuses whoever waits and whoever will come, and stops every instance that is not on lease;
  // leased ones are stopped as they are released. For good.
  void shut_down();

  // Errors: kNotFound.
  Result<Occupancy> occupancy(std::string_view function) const;
  // Instances that are not gone yet, of all functions; their instance_bytes; and their leases.
  std::size_t instance_count() const { return instances_.size(); }
  std::uint64_t memory_bytes() const { return memory_bytes_; }
  std::uint64_t lease_count() const { return leases_.size(); }

 private:
  enum class State : unsigned char { kStarting, kIdle, kLeased, kStopping };
  struct Function;
  // Who is lent first: the greatest.
  struct Rank {
    bool sound, provisioned, busy;
    std::uint64_t used;  // the latest
    InstanceId id;
    auto operator<=>(const Rank&) const = default;
  };
  struct Member {
    InstanceId id = 0;
    Function* function = nullptr;
    Instance* instance = nullptr;
    State state = State::kStarting;
    StartFor why = StartFor::kInvocation;
    bool provisioned = false;
    bool used = false;       // has been leased before
    bool ended = false;      // gone while on lease
    bool condemned = false;  // stopped as soon as it is on lease to nobody
    bool needs_reset = false;
    bool paused = false;
    std::uint32_t leases = 0;
    std::uint64_t bytes = 0;
    Clock::Monotonic started{};
    std::optional<Rank> rank;                    // its entry in Function::available
    std::optional<Clock::Monotonic> keep_until;  // its entry in expiries_
    std::optional<double> priority;              // its entry in evictable_
  };
  struct Waiter {
    std::optional<Clock::Monotonic> deadline;
    Grant grant;
  };
  struct Function {
    std::string name;
    std::size_t index = 0;
    FunctionLimits limits;
    std::unique_ptr<KeepAlive> policy;
    Occupancy now;  // but for `waiting`
    std::map<Ticket, Waiter> waiting;
    std::set<Rank> available;      // ready, with room for a lease
    std::set<InstanceId> members;  // all that are not gone
    TokenBucket invocation_rate, start_rate;
    bool draining = false;
    std::optional<Clock::Monotonic> idle_since;  // nothing is under way, and something was
    std::optional<Clock::Monotonic> prewarm_at, wake_at;
    std::optional<Clock::Monotonic> prewarm_until;
    Clock::Monotonic provision_at{};       // not before, after failed starts
    std::uint32_t provision_failures = 0;  // in a row
    std::uint64_t starved = 0;             // its place in the queue for memory, or 0
    std::optional<double> thaw_seconds;    // moving average of starts
    std::uint64_t uses = 0;                // since it last had no instance

    std::uint64_t under_way() const { return waiting.size() + now.leases; }
    std::uint64_t capacity() const {
      return std::uint64_t{limits.instances_max} * limits.invocations_per_instance;
    }
  };

  Function* find(std::string_view name);
  Error unknown(std::string_view what, std::string_view name) const;
  Result<Done> check(std::string_view name, const FunctionLimits& limits,
                     const Function* present) const;
  std::optional<Refusal> refusal(const Function* function, std::string_view name) const;
  void arrived(Function& function);
  void left(Function& function);

  static std::uint32_t& counter(Function& function, State state);
  void set_state(Member& member, State state);
  void offer(Member& member);     // into Function::available
  void withdraw(Member& member);  // out of it, and out of what may expire or be evicted
  void lend(Member& member, const Grant& grant);
  void begin(Function& function, StartFor why);
  void rest(Member& member);
  void unload(Function& function, const Windows& windows);
  void stop(Member& member);
  void stop_idle(Function& function);
  void trim(Function& function);
  void remove(Member& member);
  Waiter take(Function& function, std::map<Ticket, Waiter>::iterator at);

  void settle(Function& function);
  std::optional<StartFor> wanted(const Function& function, Clock::Monotonic now) const;
  bool has_memory(Function& function);
  void leave_memory_queue(Function& function);
  void prewarm(Function& function, Clock::Monotonic now);
  void arm(Function& function, Clock::Monotonic now);
  void expire_waiters(Clock::Monotonic now);
  // Every event ends here: `function` and its `touched` instance first, then who waits for memory.
  void finish(Function* function, InstanceId touched = 0);

  Clock& clock_;
  Host& host_;
  PoolLimits limits_;
  TokenBucket invocation_rate_;
  std::map<std::string, Function, std::less<>> functions_;
  std::vector<Function*> by_index_;
  std::unordered_map<InstanceId, Member> instances_;
  std::unordered_map<LeaseId, InstanceId> leases_;
  std::unordered_map<Ticket, Function*> waiting_;
  std::set<std::pair<Clock::Monotonic, Ticket>> deadlines_;
  std::set<std::pair<Clock::Monotonic, InstanceId>> expiries_;
  std::set<std::pair<Clock::Monotonic, std::size_t>> wakeups_;  // by Function::index
  std::map<std::uint64_t, Function*> starved_;                  // in the order they asked
  EvictionOrder evictable_;
  std::uint64_t memory_bytes_ = 0, stopping_bytes_ = 0;
  std::uint64_t reserved_ = 0;          // concurrency set aside
  std::uint64_t shared_under_way_ = 0;  // of functions without a reserve
  InstanceId next_instance_ = 1;
  LeaseId next_lease_ = 1;
  Ticket next_ticket_ = 1;
  std::uint64_t next_use_ = 1, next_starved_ = 1;
  bool shut_down_ = false;
};

}  // namespace thaw::warmpool
