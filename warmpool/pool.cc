#include "warmpool/pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str.h"

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

Result<Done> Pool::add_function(std::string name, const FunctionLimits& limits) {
  if (limits.instances_max == 0) {
    return fail(Code::kInvalid, cat("add function '", name, "': instances_max 0; want at least 1"));
  }
  const auto [at, added] = functions_.try_emplace(name);
  if (!added) return fail(Code::kInvalid, cat("add function '", name, "': it is there already"));
  at->second.name = std::move(name);
  at->second.limits = limits;
  return Done{};
}

Result<Ticket> Pool::acquire(std::string_view function, std::optional<Clock::Monotonic> deadline,
                             Grant grant) {
  const auto at = functions_.find(function);
  if (at == functions_.end()) {
    return fail(Code::kNotFound, cat("lease '", function, "': no such function"));
  }
  if (shut_down_) return fail(Code::kUnavailable, cat("lease '", function, "': shutting down"));
  Function& of = at->second;
  // Waiting ones past their deadline must not keep others out.
  expire_waiters(of);
  const std::uint64_t room = std::uint64_t{of.limits.instances_max} + of.limits.queue_length_max;
  if (of.now.leased + of.waiting.size() >= room) {
    return fail(Code::kLimit, cat("lease '", function, "': ", of.now.leased,
                                  " invocations under way and ", of.waiting.size(),
                                  " waiting, the limit; try again later, or raise instances_max or "
                                  "queue_length_max"));
  }
  const Ticket ticket = next_ticket_++;
  of.waiting.push_back(Waiter{ticket, deadline, std::move(grant)});
  serve(of);
  return ticket;
}

bool Pool::cancel(Ticket ticket) {
  for (auto& [name, function] : functions_) {
    const auto at = std::find_if(function.waiting.begin(), function.waiting.end(),
                                 [&](const Waiter& waiter) { return waiter.ticket == ticket; });
    if (at == function.waiting.end()) continue;
    function.waiting.erase(at);
    return true;
  }
  return false;
}

void Pool::release(LeaseId id, bool reusable) {
  const auto lease = leases_.find(id);
  THAW_CHECK(lease != leases_.end());
  const InstanceId instance = lease->second;
  leases_.erase(lease);
  Member& member = instances_.at(instance);
  Function& function = *member.function;
  if (member.ended) {
    remove(instance);
  } else if (!reusable || shut_down_) {
    stop(member);
  } else {
    make_idle(instance, member);
  }
  serve(function);
}

void Pool::ready(InstanceId id) {
  const auto at = instances_.find(id);
  THAW_CHECK(at != instances_.end());
  if (at->second.state != State::kStarting) return;
  make_idle(id, at->second);
  serve(*at->second.function);
}

void Pool::gone(InstanceId id, Error why) {
  const auto at = instances_.find(id);
  THAW_CHECK(at != instances_.end());
  Member& member = at->second;
  Function& function = *member.function;
  if (member.state == State::kLeased) {
    member.ended = true;
    return;
  }
  const bool failed_start = member.state == State::kStarting;
  remove(id);
  if (failed_start && function.waiting.size() > function.now.starting) {
    Waiter loser = std::move(function.waiting.front());
    function.waiting.pop_front();
    loser.grant(std::move(why));
  }
  serve(function);
}

void Pool::advance() {
  for (auto& [name, function] : functions_) {
    expire_waiters(function);
    expire_idle(function);
  }
}

std::optional<Clock::Monotonic> Pool::due() const {
  std::optional<Clock::Monotonic> first;
  const auto consider = [&](Clock::Monotonic when) {
    if (!first || when < *first) first = when;
  };
  for (const auto& [name, function] : functions_) {
    for (const Waiter& waiter : function.waiting) {
      if (waiter.deadline) consider(*waiter.deadline);
    }
    // Lent last in, first out, so the one at the front has been idle longest.
    if (!function.idle.empty()) {
      consider(instances_.at(function.idle.front()).idle_since + function.limits.keep_alive);
    }
  }
  return first;
}

void Pool::shut_down() {
  shut_down_ = true;
  for (auto& [name, function] : functions_) {
    for (Waiter& waiter : std::exchange(function.waiting, {})) {
      waiter.grant(fail(Code::kCancelled, cat("lease '", name, "': shutting down")));
    }
    function.idle.clear();
  }
  for (auto& [id, member] : instances_) {
    if (member.state == State::kStarting || member.state == State::kIdle) stop(member);
  }
}

Result<Occupancy> Pool::occupancy(std::string_view function) const {
  const auto at = functions_.find(function);
  if (at == functions_.end()) {
    return fail(Code::kNotFound, cat("occupancy of '", function, "': no such function"));
  }
  Occupancy now = at->second.now;
  now.waiting = at->second.waiting.size();
  return now;
}

void Pool::lend(InstanceId id, Member& member) {
  Function& function = *member.function;
  Waiter waiter = std::move(function.waiting.front());
  function.waiting.pop_front();
  set_state(member, State::kLeased);
  member.lease = next_lease_++;
  leases_.emplace(member.lease, id);
  const bool first_use = !std::exchange(member.used, true);
  waiter.grant(Lease{member.lease, id, member.instance, first_use});
}

void Pool::make_idle(InstanceId id, Member& member) {
  set_state(member, State::kIdle);
  member.idle_since = clock_.now();
  member.function->idle.push_back(id);
}

void Pool::stop(Member& member) {
  set_state(member, State::kStopping);
  member.instance->stop();
}

void Pool::remove(InstanceId id) {
  const auto at = instances_.find(id);
  Function& function = *at->second.function;
  std::erase(function.idle, id);
  --counter(function, at->second.state);
  instances_.erase(at);
  host_.retired(id);
}

void Pool::serve(Function& function) {
  if (shut_down_) return;
  expire_waiters(function);
  while (!function.waiting.empty() && !function.idle.empty()) {
    const InstanceId id = function.idle.back();
    function.idle.pop_back();
    lend(id, instances_.at(id));
  }
  while (function.waiting.size() > function.now.starting &&
         function.now.live() < function.limits.instances_max) {
    const InstanceId id = next_instance_++;
    Instance& instance = host_.start(function.name, id);
    Member member;
    member.function = &function;
    member.instance = &instance;
    instances_.emplace(id, member);
    ++function.now.starting;
  }
}

void Pool::expire_waiters(Function& function) {
  const Clock::Monotonic now = clock_.now();
  for (auto at = function.waiting.begin(); at != function.waiting.end();) {
    if (!at->deadline || *at->deadline > now) {
      ++at;
      continue;
    }
    Waiter late = std::move(*at);
    at = function.waiting.erase(at);
    late.grant(fail(Code::kDeadline,
                    cat("lease '", function.name, "': no instance came free before the deadline")));
  }
}

void Pool::expire_idle(Function& function) {
  const Clock::Monotonic now = clock_.now();
  while (!function.idle.empty()) {
    Member& oldest = instances_.at(function.idle.front());
    if (oldest.idle_since + function.limits.keep_alive > now) return;
    function.idle.erase(function.idle.begin());
    stop(oldest);
  }
}

}  // namespace thaw::warmpool
