#include "warmpool/pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str.h"

namespace thaw::warmpool {

Pool::Pool(Clock& clock, Host& host, const PoolLimits& limits)
    : clock_(clock), host_(host), limits_(limits) {
  invocation_rate_.set(limits.invocation_rate);
}

Pool::Function* Pool::find(std::string_view name) {
  const auto at = functions_.find(name);
  return at == functions_.end() ? nullptr : &at->second;
}

Error Pool::unknown(std::string_view what, std::string_view name) const {
  return fail(Code::kNotFound, cat(what, " '", name, "': no such function"));
}

Result<Done> Pool::check(std::string_view name, const FunctionLimits& limits,
                         const Function* present) const {
  const auto wrong = [&](std::string_view what) {
    return fail(Code::kInvalid, cat("limits of function '", name, "': ", what));
  };
  const auto sound = [](const Rate& rate) {
    return rate.count == 0 ||
           (rate.per > std::chrono::nanoseconds(0) && rate.per <= std::chrono::hours(24 * 365));
  };
  if (limits.invocations_per_instance == 0) return wrong("invocations_per_instance 0; want 1");
  if (limits.provisioned > limits.instances_max) {
    return wrong(cat("provisioned ", limits.provisioned, "; want at most instances_max ",
                     limits.instances_max));
  }
  if (!sound(limits.start_rate) || !sound(limits.invocation_rate)) {
    return wrong("a rate's `per` must be longer than 0 and at most a year");
  }
  if (limits_.memory_bytes_max > 0 && limits.instance_bytes > limits_.memory_bytes_max) {
    return wrong(
        cat("instance_bytes ", limits.instance_bytes, "; the pool has ", limits_.memory_bytes_max));
  }
  if (limits.reserved && limits_.concurrency_max > 0) {
    const std::uint64_t wanted =
        std::uint64_t{limits.instances_max} * limits.invocations_per_instance;
    std::uint64_t others = reserved_;
    if (present != nullptr && present->limits.reserved) others -= present->capacity();
    if (wanted + others > limits_.concurrency_max) {
      return wrong(cat("a reserve of ", wanted, " beside the ", others, " of others; the pool has ",
                       limits_.concurrency_max));
    }
  }
  if (present != nullptr &&
      present->limits.invocations_per_instance != limits.invocations_per_instance) {
    return wrong("invocations_per_instance cannot change");
  }
  return Done{};
}

Result<Done> Pool::add_function(std::string name, const FunctionLimits& limits) {
  if (find(name) != nullptr) {
    return fail(Code::kInvalid, cat("add function '", name, "': it is there already"));
  }
  THAW_TRY_DO(check(name, limits, nullptr));
  THAW_TRY(policy, make_keep_alive(limits.keep_alive));
  Function& function = functions_[name];
  function.name = std::move(name);
  function.index = by_index_.size();
  function.limits = limits;
  function.policy = std::move(policy);
  function.invocation_rate.set(limits.invocation_rate);
  function.start_rate.set(limits.start_rate);
  by_index_.push_back(&function);
  if (limits.reserved) reserved_ += function.capacity();
  finish(&function);
  return Done{};
}

Result<Done> Pool::set_limits(std::string_view name, const FunctionLimits& limits) {
  Function* function = find(name);
  if (function == nullptr) return unknown("set limits of", name);
  THAW_TRY_DO(check(name, limits, function));
  if (limits.keep_alive != function->limits.keep_alive) {
    THAW_TRY(policy, make_keep_alive(limits.keep_alive));
    function->policy = std::move(policy);
  }
  if (function->limits.reserved) reserved_ -= function->capacity();
  if (!function->limits.reserved) shared_under_way_ -= function->under_way();
  function->limits = limits;
  if (limits.reserved) reserved_ += function->capacity();
  if (!limits.reserved) shared_under_way_ += function->under_way();
  function->invocation_rate.set(limits.invocation_rate);
  function->start_rate.set(limits.start_rate);
  trim(*function);
  finish(function);
  return Done{};
}

// Why an invocation that comes now cannot be accepted.
std::optional<Refusal> Pool::refusal(const Function* function, std::string_view name) const {
  const auto refuse = [&](Reason reason, Code code, std::string_view why) {
    return Refusal{reason, fail(code, cat("lease '", name, "': ", why))};
  };
  if (function == nullptr) {
    return refuse(Reason::kUnknownFunction, Code::kNotFound, "no such function");
  }
  if (shut_down_) return refuse(Reason::kShutDown, Code::kUnavailable, "shutting down");
  if (function->draining) return refuse(Reason::kDraining, Code::kUnavailable, "it is draining");
  const FunctionLimits& limits = function->limits;
  if (function->under_way() >= function->capacity() + limits.queue_length_max) {
    return refuse(Reason::kFunctionConcurrency, Code::kLimit,
                  cat(function->now.leases, " invocations under way and ", function->waiting.size(),
                      " waiting, the limit; try again later, or raise instances_max or "
                      "queue_length_max"));
  }
  if (limits_.concurrency_max > 0 && !limits.reserved &&
      shared_under_way_ + reserved_ >= limits_.concurrency_max) {
    return refuse(Reason::kTotalConcurrency, Code::kLimit,
                  cat(shared_under_way_, " invocations under way in all and ", reserved_,
                      " reserved, the limit; try again later, or raise concurrency_max"));
  }
  const Clock::Monotonic now = clock_.now();
  if (!invocation_rate_.may_take(now)) {
    return refuse(Reason::kTotalInvocationRate, Code::kLimit,
                  "more invocations than the rate of all functions allows; try again later");
  }
  if (!function->invocation_rate.may_take(now)) {
    return refuse(Reason::kFunctionInvocationRate, Code::kLimit,
                  "more invocations than its rate allows; try again later");
  }
  const std::uint64_t coming =
      std::uint64_t{function->now.starting} * limits.invocations_per_instance;
  if (limits.queue_length_max == 0 && function->available.empty() &&
      function->waiting.size() >= coming && !function->start_rate.may_take(now)) {
    return refuse(Reason::kStartRate, Code::kLimit,
                  "more instances than may be started in this time; try again later");
  }
  return std::nullopt;
}

Ticket Pool::acquire(std::string_view name, std::optional<Clock::Monotonic> deadline, Grant grant) {
  const Clock::Monotonic now = clock_.now();
  // Waiting ones past their deadline must not keep others out.
  expire_waiters(now);
  const Ticket ticket = next_ticket_++;
  Function* function = find(name);
  if (auto refused = refusal(function, name)) {
    grant(*std::move(refused));
    return ticket;
  }
  arrived(*function);
  invocation_rate_.take(now);
  function->invocation_rate.take(now);
  if (function->waiting.empty() && !function->available.empty()) {
    lend(instances_.at(function->available.rbegin()->id), grant);
    if (function->wake_at) arm(*function, now);
    return ticket;
  }
  function->waiting.emplace(ticket, Waiter{deadline, std::move(grant)});
  waiting_.emplace(ticket, function);
  if (deadline) deadlines_.emplace(*deadline, ticket);
  expire_waiters(now);  // its own deadline may have passed
  finish(function);
  return ticket;
}

bool Pool::cancel(Ticket ticket) {
  const auto at = waiting_.find(ticket);
  if (at == waiting_.end()) return false;
  Function& function = *at->second;
  take(function, function.waiting.find(ticket));
  left(function);
  finish(&function);
  return true;
}

void Pool::release(LeaseId id, Use use) {
  const auto lease = leases_.find(id);
  THAW_CHECK(lease != leases_.end());
  const InstanceId instance = lease->second;
  leases_.erase(lease);
  Member& member = instances_.at(instance);
  Function& function = *member.function;
  expire_waiters(clock_.now());
  withdraw(member);
  --member.leases;
  --function.now.leases;
  left(function);
  member.condemned |= use == Use::kBroken || shut_down_;
  member.needs_reset |= use == Use::kReset;
  if (member.leases > 0) {
    // Begun anew only when nobody else has it.
    if (!member.ended && !member.condemned && !member.needs_reset) offer(member);
  } else if (member.ended) {
    remove(member);
  } else if (member.condemned) {
    stop(member);
  } else {
    set_state(member, State::kIdle);
    offer(member);
  }
  finish(&function, instance);
}

void Pool::ready(InstanceId id) {
  const auto at = instances_.find(id);
  THAW_CHECK(at != instances_.end());
  Member& member = at->second;
  if (member.state != State::kStarting) return;
  Function& function = *member.function;
  const Clock::Monotonic now = clock_.now();
  expire_waiters(now);
  constexpr double kWeight = 0.25;  // of the newest start in the moving average
  const double seconds = std::chrono::duration<double>(now - member.started).count();
  const double before = function.thaw_seconds.value_or(seconds);
  function.thaw_seconds = before + (seconds - before) * kWeight;
  if (member.provisioned) function.provision_failures = 0;
  set_state(member, State::kIdle);
  offer(member);
  finish(&function, id);
}

void Pool::gone(InstanceId id, Error why) {
  const auto at = instances_.find(id);
  THAW_CHECK(at != instances_.end());
  Member& member = at->second;
  Function& function = *member.function;
  const Clock::Monotonic now = clock_.now();
  expire_waiters(now);
  if (member.state == State::kLeased) {
    member.ended = true;
    withdraw(member);
    return finish(&function);
  }
  const bool failed_start = member.state == State::kStarting;
  const bool was_provisioned = member.provisioned;
  const bool for_invocation = member.why == StartFor::kInvocation;
  remove(member);
  if (failed_start && was_provisioned) {
    const std::uint32_t doublings = std::min(function.provision_failures++, 6U);
    function.provision_at = now + std::min(kProvisionRetry * (1 << doublings), kProvisionRetryMax);
  }
  const std::uint64_t coming =
      std::uint64_t{function.now.starting} * function.limits.invocations_per_instance;
  if (failed_start && for_invocation && function.waiting.size() > coming) {
    Waiter loser = take(function, function.waiting.begin());
    left(function);
    loser.grant(Refusal{Reason::kStartFailed, std::move(why)});
  }
  finish(&function);
}

void Pool::advance() {
  const Clock::Monotonic now = clock_.now();
  expire_waiters(now);
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    stop(instances_.at(expiries_.begin()->second));
  }
  while (!wakeups_.empty() && wakeups_.begin()->first <= now) {
    Function& function = *by_index_[wakeups_.begin()->second];
    wakeups_.erase(wakeups_.begin());
    function.wake_at.reset();
    prewarm(function, now);
    settle(function);
  }
  finish(nullptr);
}

std::optional<Clock::Monotonic> Pool::due() const {
  std::optional<Clock::Monotonic> first;
  const auto consider = [&](const auto& dates) {
    if (!dates.empty() && (!first || dates.begin()->first < *first)) first = dates.begin()->first;
  };
  consider(deadlines_);
  consider(expiries_);
  consider(wakeups_);
  return first;
}

Result<Done> Pool::recycle(std::string_view name) {
  Function* function = find(name);
  if (function == nullptr) return unknown("recycle", name);
  stop_idle(*function);
  for (const InstanceId id : function->members) {
    Member& member = instances_.at(id);
    if (member.state != State::kLeased) continue;
    member.condemned = true;
    withdraw(member);
  }
  finish(function);
  return Done{};
}

Result<Done> Pool::drain(std::string_view name) {
  Function* function = find(name);
  if (function == nullptr) return unknown("drain", name);
  function->draining = true;
  function->prewarm_at.reset();
  // Starting ones are stopped too, unless somebody waits for them.
  if (function->waiting.empty()) stop_idle(*function);
  finish(function);
  return Done{};
}

Result<Done> Pool::reopen(std::string_view name) {
  Function* function = find(name);
  if (function == nullptr) return unknown("reopen", name);
  function->draining = false;
  finish(function);
  return Done{};
}

void Pool::shut_down() {
  shut_down_ = true;
  for (auto& [name, function] : functions_) {
    while (!function.waiting.empty()) {
      Waiter waiter = take(function, function.waiting.begin());
      left(function);
      waiter.grant(Refusal{Reason::kShutDown,
                           fail(Code::kCancelled, cat("lease '", name, "': shutting down"))});
    }
    stop_idle(function);
    function.prewarm_at.reset();
    settle(function);
  }
}

Result<Occupancy> Pool::occupancy(std::string_view name) const {
  const auto at = functions_.find(name);
  if (at == functions_.end()) return unknown("occupancy of", name);
  Occupancy now = at->second.now;
  now.waiting = at->second.waiting.size();
  return now;
}

}  // namespace thaw::warmpool
