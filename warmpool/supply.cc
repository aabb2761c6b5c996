// The pool's decisions: what each event leads to, function by function.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str.h"
#include "warmpool/pool.h"

namespace thaw::warmpool {

std::uint32_t& Pool::counter(Function& function, State state) {
  switch (state) {
    case State::kStarting: return function.now.starting;
    case State::kIdle: return function.now.idle;
    case State::kLeased: return function.now.leased;
    case State::kStopping: break;
  }
  return function.now.stopping;
}

void Pool::set_state(Member& member, State state) {
  --counter(*member.function, member.state);
  member.state = state;
  ++counter(*member.function, state);
}

// An invocation is accepted.
void Pool::arrived(Function& function) {
  if (function.under_way() == 0 && function.idle_since) {
    function.policy->arrived(clock_.now() - *function.idle_since);
  }
  function.idle_since.reset();
  function.prewarm_at.reset();
  if (!function.limits.reserved) ++shared_under_way_;
}

// One has been answered and is over, or was refused after all, or cancelled.
void Pool::left(Function& function) {
  if (!function.limits.reserved) --shared_under_way_;
  if (function.under_way() == 0) function.idle_since = clock_.now();
}

void Pool::offer(Member& member) {
  member.rank =
      Rank{!member.needs_reset, member.provisioned, member.leases > 0, next_use_++, member.id};
  member.function->available.insert(*member.rank);
}

void Pool::withdraw(Member& member) {
  if (member.rank) member.function->available.erase(*std::exchange(member.rank, {}));
  if (member.keep_until) expiries_.erase({*std::exchange(member.keep_until, {}), member.id});
  if (member.priority) {
    evictable_.remove(member.id, *std::exchange(member.priority, {}), member.bytes);
  }
}

void Pool::lend(Member& member, const Grant& grant) {
  Function& function = *member.function;
  withdraw(member);
  if (member.state == State::kIdle) set_state(member, State::kLeased);
  ++member.leases;
  ++function.now.leases;
  ++function.uses;
  if (std::exchange(member.paused, false)) member.instance->resume();
  const bool needs_reset = std::exchange(member.needs_reset, false);
  if (member.leases < function.limits.invocations_per_instance) offer(member);
  const LeaseId id = next_lease_++;
  leases_.emplace(id, member.id);
  const bool first_use = !std::exchange(member.used, true);
  grant(Lease{id, member.id, member.instance, first_use, member.provisioned, needs_reset,
              member.why});
}

void Pool::begin(Function& function, StartFor why) {
  const Clock::Monotonic now = clock_.now();
  const InstanceId id = next_instance_++;
  Member member;
  member.id = id;
  member.function = &function;
  member.why = why;
  member.provisioned = why == StartFor::kProvisioned;
  member.bytes = function.limits.instance_bytes;
  member.started = now;
  member.instance = &host_.start(function.name, id, why);
  function.members.insert(id);
  ++function.now.starting;
  function.now.provisioned += member.provisioned;
  memory_bytes_ += member.bytes;
  if (!member.provisioned) function.start_rate.take(now);
  instances_.emplace(id, std::move(member));
}

// An instance that nobody wants at the moment.
void Pool::rest(Member& member) {
  Function& function = *member.function;
  const bool beyond = function.now.live() - function.now.stopping > function.limits.instances_max;
  if (function.draining || beyond) return stop(member);
  if (function.limits.pauses && !std::exchange(member.paused, true)) member.instance->pause();
  if (member.provisioned) return;
  const Clock::Monotonic now = clock_.now();
  const Windows windows = function.policy->windows();
  if (member.why == StartFor::kPrewarm && !member.used) {
    member.keep_until = function.prewarm_until;
  } else if (windows.prewarm && function.under_way() == 0) {
    return unload(function, windows);
  } else if (windows.keep) {
    member.keep_until = now + *windows.keep;
  }
  if (member.keep_until) expiries_.emplace(*member.keep_until, member.id);
  if (limits_.memory_bytes_max > 0 && member.bytes > 0) {
    member.priority =
        evictable_.add(member.id, function.uses, function.thaw_seconds.value_or(0), member.bytes);
  }
}

// Stops what is idle, to start one again shortly before it is wanted.
void Pool::unload(Function& function, const Windows& windows) {
  for (auto at = function.available.begin(); at != function.available.end();) {
    const Rank rank = *at++;
    if (rank.provisioned && rank.sound) break;  // and all behind it
    if (!rank.provisioned) stop(instances_.at(rank.id));
  }
  const Clock::Monotonic now = clock_.now();
  function.prewarm_at = now + *windows.prewarm;
  function.prewarm_until.reset();
  if (windows.keep) function.prewarm_until = *function.prewarm_at + *windows.keep;
  arm(function, now);
}

void Pool::stop(Member& member) {
  withdraw(member);
  member.function->now.provisioned -= member.provisioned;
  set_state(member, State::kStopping);
  stopping_bytes_ += member.bytes;
  member.instance->stop();
}

// All that are on lease to nobody.
void Pool::stop_idle(Function& function) {
  for (const InstanceId id : function.members) {
    Member& member = instances_.at(id);
    if (member.state == State::kStarting || member.state == State::kIdle) stop(member);
  }
}

// Lets go what new limits no longer allow, as far as it is on lease to nobody.
void Pool::trim(Function& function) {
  for (const InstanceId id : function.members) {
    Member& member = instances_.at(id);
    if (function.now.provisioned <= function.limits.provisioned) break;
    if (!member.provisioned || member.state == State::kStopping) continue;
    if (member.state != State::kLeased) {
      stop(member);
      continue;
    }
    // On demand from now on.
    member.provisioned = false;
    --function.now.provisioned;
    if (std::exchange(member.rank, {})) {
      std::erase_if(function.available, [&](const Rank& rank) { return rank.id == id; });
      offer(member);
    }
  }
  for (auto at = function.available.begin(); at != function.available.end();) {
    Member& member = instances_.at((at++)->id);
    if (function.now.live() - function.now.stopping <= function.limits.instances_max) break;
    if (member.state == State::kIdle && !member.provisioned) stop(member);
  }
}

void Pool::remove(Member& member) {
  withdraw(member);
  Function& function = *member.function;
  if (member.state == State::kStopping) {
    stopping_bytes_ -= member.bytes;
  } else {
    function.now.provisioned -= member.provisioned;
  }
  --counter(function, member.state);
  memory_bytes_ -= member.bytes;
  const InstanceId id = member.id;
  function.members.erase(id);
  if (function.members.empty()) function.uses = 0;
  instances_.erase(id);
  host_.retired(id);
}

Pool::Waiter Pool::take(Function& function, std::map<Ticket, Waiter>::iterator at) {
  Waiter waiter = std::move(at->second);
  if (waiter.deadline) deadlines_.erase({*waiter.deadline, at->first});
  waiting_.erase(at->first);
  function.waiting.erase(at);
  return waiter;
}

void Pool::expire_waiters(Clock::Monotonic now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Ticket ticket = deadlines_.begin()->second;
    Function& function = *waiting_.at(ticket);
    Waiter late = take(function, function.waiting.find(ticket));
    left(function);
    late.grant(Refusal{Reason::kWaitedTooLong,
                       fail(Code::kDeadline, cat("lease '", function.name,
                                                 "': no instance came free before the deadline"))});
  }
}

// What should be started for, if anything: the limits of the function allow it.
std::optional<StartFor> Pool::wanted(const Function& function, Clock::Monotonic now) const {
  if (shut_down_ || function.now.live() >= function.limits.instances_max) return std::nullopt;
  const std::uint64_t coming =
      std::uint64_t{function.now.starting} * function.limits.invocations_per_instance;
  if (function.waiting.size() > coming && function.start_rate.may_take(now)) {
    return StartFor::kInvocation;
  }
  if (!function.draining && function.now.provisioned < function.limits.provisioned &&
      function.provision_at <= now) {
    return StartFor::kProvisioned;
  }
  return std::nullopt;
}

void Pool::leave_memory_queue(Function& function) {
  if (function.starved != 0) starved_.erase(std::exchange(function.starved, 0));
}

// Whether one more instance fits; otherwise the function waits in line for it, and whoever is first
// in line has others evicted as far as it takes.
bool Pool::has_memory(Function& function) {
  const std::uint64_t wanted = function.limits.instance_bytes;
  if (limits_.memory_bytes_max == 0 || wanted == 0) {
    leave_memory_queue(function);
    return true;
  }
  const bool first = starved_.empty() || starved_.begin()->second == &function;
  const std::uint64_t free = limits_.memory_bytes_max - memory_bytes_;
  if (first && wanted <= free) {
    leave_memory_queue(function);
    return true;
  }
  if (function.starved == 0) {
    function.starved = next_starved_++;
    starved_.emplace(function.starved, &function);
  }
  std::uint64_t coming = free + stopping_bytes_;
  if (!first || coming + evictable_.bytes() < wanted) return false;
  while (coming < wanted) {
    Member& victim = instances_.at(evictable_.choose());
    coming += victim.bytes;
    stop(victim);
  }
  return false;
}

// A prediction takes nothing from anybody: no eviction, no place in a queue.
void Pool::prewarm(Function& function, Clock::Monotonic now) {
  if (!function.prewarm_at || *function.prewarm_at > now) return;
  function.prewarm_at.reset();
  const std::uint64_t bytes = function.limits.instance_bytes;
  const bool fits = limits_.memory_bytes_max == 0 ||
                    (starved_.empty() && bytes <= limits_.memory_bytes_max - memory_bytes_);
  if (shut_down_ || function.draining || !fits || function.now.starting + function.now.idle > 0 ||
      function.now.live() >= function.limits.instances_max || !function.start_rate.may_take(now)) {
    return;
  }
  begin(function, StartFor::kPrewarm);
}

// Notes when the function has something to do that no event announces.
void Pool::arm(Function& function, Clock::Monotonic now) {
  std::optional<Clock::Monotonic> when;
  const auto consider = [&](Clock::Monotonic date) {
    if (!when || date < *when) when = date;
  };
  if (!shut_down_) {
    if (function.prewarm_at) consider(*function.prewarm_at);
    const bool has_room = function.now.live() < function.limits.instances_max;
    if (has_room && !function.draining && function.provision_at > now &&
        function.now.provisioned < function.limits.provisioned) {
      consider(function.provision_at);
    }
    const std::uint64_t coming =
        std::uint64_t{function.now.starting} * function.limits.invocations_per_instance;
    if (has_room && function.waiting.size() > coming && !function.start_rate.may_take(now)) {
      consider(function.start_rate.next_at());
    }
  }
  if (when == function.wake_at) return;
  if (function.wake_at) wakeups_.erase({*function.wake_at, function.index});
  function.wake_at = when;
  if (when) wakeups_.emplace(*when, function.index);
}

// Serves who waits, and starts what is wanted.
void Pool::settle(Function& function) {
  const Clock::Monotonic now = clock_.now();
  while (!function.waiting.empty() && !function.available.empty()) {
    const Waiter waiter = take(function, function.waiting.begin());
    lend(instances_.at(function.available.rbegin()->id), waiter.grant);
  }
  std::optional<StartFor> why = wanted(function, now);
  while (why && has_memory(function)) {
    begin(function, *why);
    why = wanted(function, now);
  }
  if (!why) leave_memory_queue(function);
  arm(function, now);
}

void Pool::finish(Function* function, InstanceId touched) {
  if (function != nullptr) settle(*function);
  if (const auto at = instances_.find(touched); at != instances_.end()) {
    if (at->second.state == State::kIdle) rest(at->second);
  }
  while (!starved_.empty()) {
    Function* const first = starved_.begin()->second;
    settle(*first);
    if (!starved_.empty() && starved_.begin()->second == first) return;  // it waits on
  }
}

}  // namespace thaw::warmpool
