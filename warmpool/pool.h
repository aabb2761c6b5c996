// Who stays warm: lends instances to invocations, one at a time, within limits, and decides when to
// start another and when to let one go. Pure policy: no sockets, no threads, no processes; what it
// decides, a Host does, and time is a Clock's, so that it runs the same in a simulation.
//
// What holds after every call, for each function:
//   1 starting + idle + leased + stopping instances <= instances_max;
//   2 an instance is leased to at most one invocation;
//   3 every acquire() that was accepted is answered exactly once (a lease or an error), unless it
//     was cancelled; nothing accepted is lost;
//   4 waiting + leased <= instances_max + queue_length_max;
//   5 nobody waits beside an idle instance, nor for want of a start while limit 1 allows one;
//   6 waiting invocations are served in the order they came;
//   7 an instance is started only for an invocation that would otherwise go without, so failing
//     starts end with the invocations that asked for them;
//   8 an idle instance is kept for keep_alive and asked to stop at the first advance() after.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace thaw::warmpool {

using InstanceId = std::uint64_t;  // never used twice
using LeaseId = std::uint64_t;     // never used twice
using Ticket = std::uint64_t;      // names one acquire(); never used twice

// An instance as the pool sees it: something that a Host has started and that can be told to end.
class Instance {
 public:
  virtual ~Instance() = default;
  // Asks it to end. Returns at once, must not call the pool; Pool::gone() follows when it has
  // ended. Called at most once.
  virtual void stop() = 0;
};

// Starts instances and owns them. Its methods return at once and must not call the pool.
class Host {
 public:
  virtual ~Host() = default;
  // Begins to start one; Pool::ready() or Pool::gone() follows. The Instance must live until
  // retired() names it.
  virtual Instance& start(std::string_view function, InstanceId id) = 0;
  // The pool has forgotten the instance, which is gone and on lease to nobody.
  virtual void retired(InstanceId id) = 0;
};

struct FunctionLimits {
  std::uint32_t instances_max = 10;    // at least 1; the function's concurrency
  std::uint32_t queue_length_max = 0;  // who may wait beyond it; 0: refused, as on Lambda
  std::chrono::nanoseconds keep_alive = std::chrono::minutes(10);  // idle time before a stop
};

// An instance lent to an invocation, until Pool::release().
struct Lease {
  LeaseId id = 0;
  InstanceId instance_id = 0;
  Instance* instance = nullptr;  // lives at least until the lease is released
  bool first_use = false;        // nobody had it before: a cold start
};

// Called exactly once, possibly before acquire() returns; must not call the pool.
using Grant = std::function<void(Result<Lease>)>;

// What a function's part of the pool holds at the moment.
struct Occupancy {
  std::uint32_t starting = 0, idle = 0, leased = 0, stopping = 0;
  std::size_t waiting = 0;
  std::uint32_t live() const { return starting + idle + leased + stopping; }
};

// One thread at a time. `clock` and `host` outlive it.
class Pool {
 public:
  Pool(Clock& clock, Host& host) : clock_(clock), host_(host) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Errors: kInvalid (named twice, or instances_max is 0).
  Result<Done> add_function(std::string name, const FunctionLimits& limits);

  // Asks for an instance of `function`. An error returned here means that `grant` is never called.
  // Later, `grant` hears a Lease, or: kDeadline (waited until `deadline`), the error of a start
  // that failed, kCancelled (the pool shut down).
  // Errors: kNotFound     no such function
  //         kLimit        as many are under way and waiting as limit 4 allows
  //         kUnavailable  the pool has shut down
  Result<Ticket> acquire(std::string_view function, std::optional<Clock::Monotonic> deadline,
                         Grant grant);

  // Forgets a waiting invocation: its Grant will not be called. False when it was answered already
  // (a lease that it was given must still be released).
  bool cancel(Ticket ticket);

  // Ends a lease. `reusable`: the instance is fit for another invocation; otherwise it is stopped.
  // Precondition: `id` was granted and not yet released.
  void release(LeaseId id, bool reusable);

  // A starting instance is fit for invocations. Ignored when the pool has told it to stop.
  // Precondition here and below: `id` was started and not yet gone.
  void ready(InstanceId id);

  // An instance has ended, for whatever reason and in whatever state. When it had not become ready
  // and somebody is left without an instance by that, the one who waited longest hears `why`. One
  // that was on lease stays so until release().
  void gone(InstanceId id, Error why);

  // Does what is due: idle instances past their keep-alive, invocations that waited too long.
  void advance();
  // When advance() next has something to do; nothing when only an event can change anything.
  std::optional<Clock::Monotonic> due() const;

  // Refuses whoever waits and whoever will come, and stops every instance that is not on lease;
  // leased ones are stopped as they are released.
  void shut_down();

  // Errors: kNotFound.
  Result<Occupancy> occupancy(std::string_view function) const;
  // Instances that are not gone yet, of all functions.
  std::size_t instance_count() const { return instances_.size(); }

 private:
  enum class State : unsigned char { kStarting, kIdle, kLeased, kStopping };
  struct Function;
  struct Member {
    Function* function = nullptr;
    Instance* instance = nullptr;
    State state = State::kStarting;
    bool used = false;   // has been leased before
    bool ended = false;  // gone while on lease
    LeaseId lease = 0;
    Clock::Monotonic idle_since{};
  };
  struct Waiter {
    Ticket ticket = 0;
    std::optional<Clock::Monotonic> deadline;
    Grant grant;
  };
  struct Function {
    std::string name;
    FunctionLimits limits;
    Occupancy now;
    std::deque<Waiter> waiting;    // in order of arrival
    std::vector<InstanceId> idle;  // the most recently used last
  };

  void set_state(Member& member, State state);
  static std::uint32_t& counter(Function& function, State state);
  void lend(InstanceId id, Member& member);
  void make_idle(InstanceId id, Member& member);
  void stop(Member& member);
  void remove(InstanceId id);
  void serve(Function& function);
  void expire_waiters(Function& function);
  void expire_idle(Function& function);

  Clock& clock_;
  Host& host_;
  std::map<std::string, Function, std::less<>> functions_;
  std::map<InstanceId, Member> instances_;
  std::map<LeaseId, InstanceId> leases_;
  InstanceId next_instance_ = 1;
  LeaseId next_lease_ = 1;
  Ticket next_ticket_ = 1;
  bool shut_down_ = false;
};

}  // namespace thaw::warmpool
