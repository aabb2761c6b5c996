#include "world.h"

#include <algorithm>
#include <cmath>

#include "base/str.h"

namespace thaw::warmpool {

using namespace std::chrono_literals;

struct World::Body final : Instance {
  Body(World& w, InstanceId i) : world(w), id(i) {}
  void stop() override;
  void pause() override;
  void resume() override;

  World& world;
  InstanceId id;
  std::size_t function = 0;
  Phase phase = Phase::kStarting;
  StartFor why = StartFor::kInvocation;
  bool paused = false, dead = false, condemned = false, reset = false, used = false;
  std::uint32_t leases = 0;
  std::uint64_t bytes = 0;
  std::optional<Clock::Monotonic> idle_since, expiry;
};

struct World::Place {
  std::string name;
  FunctionLimits limits;
  std::chrono::nanoseconds mean_gap{}, mean_start{}, mean_run{};
  std::uint32_t starting = 0, idle = 0, leased = 0, stopping = 0;
  std::uint64_t leases = 0;
  std::uint64_t room = 0;           // ready instances that could take another lease
  std::set<std::uint64_t> waiting;  // numbers, in order of arrival
  std::uint64_t asked = 0, started_for_invocations = 0, fell_idle = 0, prewarmed = 0;
  bool draining = false;
  bool periodic = false;
  std::uint32_t live() const { return starting + idle + leased + stopping; }
  std::uint64_t under_way() const { return waiting.size() + leases; }
  std::uint64_t capacity() const {
    return std::uint64_t{limits.instances_max} * limits.invocations_per_instance;
  }
};

void World::Body::stop() {
  Place& place = *world.places_[function];
  if (phase == Phase::kStopping) world.broken("stopped twice");
  if (leases > 0) world.broken("stopped while on lease");
  if (phase == Phase::kReady && !dead) {
    const auto* fixed = std::get_if<FixedTime>(&place.limits.keep_alive);
    const bool early = fixed != nullptr && idle_since &&
                       *idle_since + fixed->time > world.clock_.now() && !condemned;
    const bool excused = world.shutting_down_ || world.administering_ || place.draining ||
                         world.pool_limits_.memory_bytes_max > 0 ||
                         place.live() - place.stopping > place.limits.instances_max;
    if (early && !excused && !reset) world.broken("stopped before its keep-alive is over");
    if (early && world.pool_limits_.memory_bytes_max > 0) ++world.counts_.evicted;
  }
  world.no_longer_idle(*this);
  // Whoever it was started for deserves another.
  if (phase == Phase::kStarting && why == StartFor::kInvocation) --place.started_for_invocations;
  --(phase == Phase::kStarting ? place.starting : leases > 0 ? place.leased : place.idle);
  ++place.stopping;
  phase = Phase::kStopping;
  world.touch(function);
  world.at(world.about(5ms), Kind::kEnd, id);
}

void World::Body::pause() {
  if (paused || phase != Phase::kReady || leases > 0) world.broken("paused out of turn");
  if (!world.places_[function]->limits.pauses) world.broken("paused against the limits");
  paused = true;
}

void World::Body::resume() {
  if (!paused) world.broken("resumed though not paused");
  paused = false;
}

World::World(const WorldOptions& options) : options_(options), random_(options.seed) {
  const std::uint64_t size = options.functions_max;
  if (chance(0.5)) {
    pool_limits_.concurrency_max = static_cast<std::uint32_t>(5 + random_.below(10 * size));
  }
  if (chance(0.5)) pool_limits_.memory_bytes_max = 4000 + random_.below(6000 * size);
  if (chance(0.2)) pool_limits_.invocation_rate = {200, 1s};
  pool_ = std::make_unique<Pool>(clock_, static_cast<Host&>(*this), pool_limits_);
  add_functions();
}

World::~World() = default;

void World::broken(const std::string& what) {
  if (!first_broken_) {
    first_broken_ = cat("seed ", options_.seed, ", event ", counts_.events, ": ", what);
  }
}

std::chrono::nanoseconds World::about(std::chrono::nanoseconds mean) {
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(-std::log(1 - random_.unit()) * static_cast<double>(mean.count())));
}

void World::at(std::chrono::nanoseconds delay, Kind kind, std::uint64_t subject) {
  events_.push({clock_.now() + delay, sequence_++, kind, subject});
}

FunctionLimits World::random_limits() {
  FunctionLimits limits;
  limits.instances_max = static_cast<std::uint32_t>(random_.below(options_.instances_max + 1));
  if (chance(0.8)) limits.instances_max = std::max(limits.instances_max, 1U);
  if (chance(0.6)) limits.queue_length_max = static_cast<std::uint32_t>(random_.below(8));
  if (chance(0.3) && limits.instances_max > 0) {
    limits.provisioned = static_cast<std::uint32_t>(random_.below(limits.instances_max + 1));
  }
  if (chance(0.2)) limits.start_rate = {1 + static_cast<std::uint32_t>(random_.below(5)), 1s};
  if (chance(0.2)) limits.invocation_rate = {20, 1s};
  limits.pauses = chance(0.5);
  limits.instance_bytes = chance(0.9) ? 1 + random_.below(3000) : 0;
  switch (random_.below(4)) {
    case 0: limits.keep_alive = HybridHistogram{.bin = 100ms, .bin_count = 50}; break;
    case 1: limits.keep_alive = GreedyDual{}; break;
    default: limits.keep_alive = FixedTime{about(2s)};
  }
  return limits;
}

void World::add_functions() {
  const std::uint64_t count = 1 + random_.below(options_.functions_max);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto place = std::make_unique<Place>();
    place->name = cat("function-", i);
    place->limits = random_limits();
    if (chance(0.25)) {
      place->limits.invocations_per_instance = 1 + static_cast<std::uint32_t>(random_.below(4));
    }
    place->limits.reserved = chance(0.3);
    place->mean_start = 10ms + about(200ms);
    place->mean_run = 5ms + about(300ms);
    place->mean_gap = chance(0.3) ? 2s : about(150ms) + 1ms;
    place->periodic = chance(0.2);
    if (place->periodic) place->mean_gap = 500ms + about(1s);
    places_.push_back(std::move(place));
    Place& added = *places_.back();
    if (!pool_->add_function(added.name, added.limits)) {
      added.limits.reserved = false;  // no room for its reserve
      if (!pool_->add_function(added.name, added.limits)) broken("a function is refused");
    }
    at(about(added.mean_gap), Kind::kArrive, i);
    if (options_.faults) at(about(10s), Kind::kAdmin, i);
  }
  check();
}

Instance& World::start(std::string_view function, InstanceId id, StartFor why) {
  if (id <= last_started_) broken("an instance's number is used twice");
  last_started_ = id;
  const auto place_at = std::find_if(places_.begin(), places_.end(),
                                     [&](const auto& place) { return place->name == function; });
  Place& place = **place_at;
  auto body = std::make_unique<Body>(*this, id);
  body->function = static_cast<std::size_t>(place_at - places_.begin());
  body->why = why;
  body->bytes = place.limits.instance_bytes;
  memory_bytes_ += body->bytes;
  if (place.live() >= place.limits.instances_max) broken("started beyond instances_max");
  if (pool_limits_.memory_bytes_max > 0 && memory_bytes_ > pool_limits_.memory_bytes_max) {
    broken("started beyond memory_bytes_max");
  }
  if (shutting_down_) broken("started while shutting down");
  if (why == StartFor::kInvocation && ++place.started_for_invocations > place.asked) {
    broken("more starts than invocations");
  }
  if (why == StartFor::kPrewarm && ++place.prewarmed > place.fell_idle) {
    broken("prewarmed more often than idle");
  }
  if (why == StartFor::kPrewarm && place.under_way() > 0) broken("prewarmed while busy");
  ++place.starting;
  ++counts_.started;
  counts_.prewarmed += why == StartFor::kPrewarm;
  touch(body->function);
  const bool fails = options_.faults && chance(0.05);
  at(about(place.mean_start), fails ? Kind::kFailStart : Kind::kReady, id);
  return *bodies_.emplace(id, std::move(body)).first->second;
}

void World::retired(InstanceId id) {
  const auto found = bodies_.find(id);
  if (found == bodies_.end()) return broken("retired twice");
  Body& body = *found->second;
  if (!body.dead) broken("retired while alive");
  if (body.leases > 0) broken("retired while on lease");
  memory_bytes_ -= body.bytes;
  touched_bodies_.erase(id);
  bodies_.erase(found);
}

void World::fell_idle(Body& body) {
  Place& place = *places_[body.function];
  body.idle_since = clock_.now();
  touched_bodies_.insert(body.id);
  const auto* fixed = std::get_if<FixedTime>(&place.limits.keep_alive);
  if (fixed == nullptr || body.why == StartFor::kProvisioned) return;
  if (body.why == StartFor::kPrewarm && !body.used) return;
  body.expiry = *body.idle_since + fixed->time;
  expiries_.emplace(*body.expiry, body.id);
}

void World::no_longer_idle(Body& body) {
  body.idle_since.reset();
  if (body.expiry) expiries_.erase({*body.expiry, body.id});
  body.expiry.reset();
}

void World::arrive(std::size_t function) {
  Place& place = *places_[function];
  if (counts_.asked >= options_.invocations) return;
  // Bursts: now and then many at once.
  const std::uint64_t many = !place.periodic && chance(0.02) ? 1 + random_.below(20) : 1;
  for (std::uint64_t i = 0; i < many && counts_.asked < options_.invocations; ++i) {
    const std::uint64_t number = counts_.asked++;
    ++place.asked;
    Asked asked;
    asked.function = function;
    if (chance(0.5)) asked.deadline = clock_.now() + about(500ms);
    waiting_.emplace(number, asked);
    place.waiting.insert(number);
    ++under_way_;
    if (!place.limits.reserved) ++under_way_shared_;
    touch(function);
    const Ticket ticket = pool_->acquire(place.name, asked.deadline,
                                         [this, number](Answer answer) { hear(number, answer); });
    const auto still = waiting_.find(number);
    if (still == waiting_.end()) continue;
    still->second.ticket = ticket;
    if (place.under_way() > place.capacity() + place.limits.queue_length_max) {
      broken("accepted beyond the function's limit");
    }
    if (pool_limits_.concurrency_max > 0 && under_way_shared_ > pool_limits_.concurrency_max) {
      broken("accepted beyond the limit of all");
    }
    if (options_.faults && chance(0.05)) at(about(300ms), Kind::kCancel, number);
  }
  at(place.periodic ? place.mean_gap : about(place.mean_gap), Kind::kArrive, function);
}

void World::hear(std::uint64_t number, const Answer& answer) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return broken("answered twice, or after it was cancelled");
  const Asked asked = found->second;
  waiting_.erase(found);
  Place& place = *places_[asked.function];
  touch(asked.function);
  if (const auto* lease = std::get_if<Lease>(&answer)) {
    if (*place.waiting.begin() != number) broken("overtaken");
    place.waiting.erase(number);
    return hear_lease(number, asked, *lease);
  }
  place.waiting.erase(number);
  --under_way_;
  if (!place.limits.reserved) --under_way_shared_;
  if (place.under_way() == 0) ++place.fell_idle;
  ++counts_.refused;
  const Reason reason = std::get<Refusal>(answer).reason;
  if (reason == Reason::kWaitedTooLong) {
    ++counts_.waited_too_long;
    if (!asked.deadline || *asked.deadline > clock_.now()) broken("refused before its deadline");
  } else if (reason == Reason::kFunctionConcurrency) {
    if (place.under_way() < place.capacity() + place.limits.queue_length_max) {
      broken("refused below the function's limit");
    }
  } else if (reason == Reason::kDraining && !place.draining) {
    broken("refused as if it drained");
  } else if (reason == Reason::kShutDown && !shutting_down_) {
    broken("refused as if it shut down");
  } else if (reason == Reason::kUnknownFunction) {
    broken("refused as if unknown");
  }
}

void World::hear_lease(std::uint64_t number, const Asked& asked, const Lease& lease) {
  Place& place = *places_[asked.function];
  const auto found = bodies_.find(lease.instance_id);
  if (found == bodies_.end()) return broken("lent an instance that is gone");
  Body& body = *found->second;
  if (&body != lease.instance) broken("lent another instance than it says");
  if (body.function != asked.function) broken("lent another function's instance");
  if (body.phase != Phase::kReady || body.dead) broken("lent an instance that is not ready");
  if (body.paused) broken("lent while paused");
  if (body.condemned) broken("lent though recycled or broken");
  if (body.leases >= place.limits.invocations_per_instance) broken("lent to too many");
  if (lease.first_use == body.used) broken("wrong about its first use");
  if (lease.needs_reset != body.reset) broken("wrong about a reset");
  if (asked.deadline && *asked.deadline <= clock_.now() && asked.ticket != 0) {
    broken("lent past its deadline");
  }
  if (!leases_.emplace(lease.id, body.id).second) broken("a lease's number is used twice");
  if (body.leases++ == 0) {
    no_longer_idle(body);
    --place.idle;
    ++place.leased;
  }
  counts_.reset += body.reset;
  body.used = true;
  body.reset = false;
  ++place.leases;
  ++counts_.leased;
  (void)number;
  if (options_.faults && chance(0.01)) at(about(place.mean_run), Kind::kCrash, body.id);
  at(about(place.mean_run), Kind::kFinish, lease.id);
}

void World::finish(LeaseId lease) {
  const auto found = leases_.find(lease);
  Body& body = *bodies_.at(found->second);
  leases_.erase(found);
  Place& place = *places_[body.function];
  touch(body.function);
  Use use = Use::kReusable;
  if (options_.faults && chance(0.03)) use = chance(0.5) ? Use::kReset : Use::kBroken;
  body.condemned |= use == Use::kBroken;
  body.reset |= use == Use::kReset;
  --place.leases;
  --under_way_;
  if (!place.limits.reserved) --under_way_shared_;
  if (place.under_way() == 0) ++place.fell_idle;
  if (--body.leases == 0) {
    --place.leased;
    if (!body.dead) {
      ++place.idle;
      fell_idle(body);
    }
  }
  pool_->release(lease, use);
}

void World::crash(InstanceId id) {
  const auto found = bodies_.find(id);
  if (found == bodies_.end() || found->second->dead || found->second->phase != Phase::kReady)
    return;
  Body& body = *found->second;
  Place& place = *places_[body.function];
  ++counts_.crashed;
  body.dead = true;
  if (body.leases == 0) {
    no_longer_idle(body);
    --place.idle;
  }
  touch(body.function);
  touched_bodies_.erase(id);
  pool_->gone(id, fail(Code::kIo, "it crashed"));
}

void World::end(InstanceId id) {
  Body& body = *bodies_.at(id);
  Place& place = *places_[body.function];
  body.dead = true;
  --place.stopping;
  touch(body.function);
  pool_->gone(id, fail(Code::kIo, "it was stopped"));
}

void World::administer(std::size_t index) {
  Place& place = *places_[index];
  touch(index);
  administering_ = true;
  Result<Done> done = Done{};
  switch (place.draining ? 1 : random_.below(4)) {
    case 0:
      for (auto& [id, body] : bodies_) {
        if (body->function == index && body->leases > 0) body->condemned = true;
      }
      ++counts_.recycled;
      done = pool_->recycle(place.name);
      break;
    case 1: {
      place.draining = !place.draining;
      ++counts_.drained;
      done = place.draining ? pool_->drain(place.name) : pool_->reopen(place.name);
      break;
    }
    case 2: {
      FunctionLimits next = random_limits();
      next.invocations_per_instance = place.limits.invocations_per_instance;
      next.reserved = place.limits.reserved;
      // What is idle already goes by the policy that it fell idle under.
      next.keep_alive = place.limits.keep_alive;
      next.pauses = place.limits.pauses;
      const FunctionLimits before = place.limits;
      place.limits = next;
      ++counts_.limits_changed;
      if (!pool_->set_limits(place.name, next)) {
        place.limits = before;  // its reserve found no room
      }
      break;
    }
    default:  // an idle one dies
      for (auto& [id, body] : bodies_) {
        if (body->function == index && body->idle_since) {
          crash(id);
          break;
        }
      }
  }
  if (!done) broken("an order was refused");
  administering_ = false;
  if (counts_.asked < options_.invocations) {
    at(about(place.draining ? 300ms : 10s), Kind::kAdmin, index);
  }
}

void World::play(const Event& event) {
  switch (event.kind) {
    case Kind::kArrive: return arrive(static_cast<std::size_t>(event.subject));
    case Kind::kAdmin: return administer(static_cast<std::size_t>(event.subject));
    case Kind::kFinish: return finish(event.subject);
    case Kind::kCrash: return crash(event.subject);
    case Kind::kEnd: return end(event.subject);
    case Kind::kCancel: {
      const auto found = waiting_.find(event.subject);
      const bool waits = found != waiting_.end();
      if (!waits) return;
      const Asked asked = found->second;
      Place& place = *places_[asked.function];
      waiting_.erase(found);
      place.waiting.erase(event.subject);
      --under_way_;
      if (!place.limits.reserved) --under_way_shared_;
      if (place.under_way() == 0) ++place.fell_idle;
      touch(asked.function);
      ++counts_.cancelled;
      if (!pool_->cancel(asked.ticket)) broken("one who waits cannot cancel");
      if (pool_->cancel(asked.ticket)) broken("cancelled twice");
      return;
    }
    case Kind::kReady:
    case Kind::kFailStart: break;
  }
  const auto found = bodies_.find(event.subject);
  if (found == bodies_.end()) return;
  Body& body = *found->second;
  Place& place = *places_[body.function];
  touch(body.function);
  if (event.kind == Kind::kReady) {
    if (body.phase == Phase::kStarting) {
      body.phase = Phase::kReady;
      --place.starting;
      ++place.idle;
      fell_idle(body);
    }
    return pool_->ready(event.subject);
  }
  if (body.phase != Phase::kStarting) return;  // told to stop before it could fail
  ++counts_.failed_starts;
  body.dead = true;
  --place.starting;
  pool_->gone(event.subject, fail(Code::kIo, "it did not start"));
}

void World::check_place(std::size_t index) {
  const Place& place = *places_[index];
  const Occupancy now = *pool_->occupancy(place.name);
  if (now.starting != place.starting || now.idle != place.idle || now.leased != place.leased ||
      now.stopping != place.stopping) {
    return broken(cat(place.name, " has ", now.starting, "+", now.idle, "+", now.leased, "+",
                      now.stopping, " instances, the books say ", place.starting, "+", place.idle,
                      "+", place.leased, "+", place.stopping));
  }
  if (now.leases != place.leases) broken("leases are lost");
  if (now.waiting != place.waiting.size()) broken("waiting invocations are lost");
  if (place.waiting.empty()) return;
  if (now.idle > 0) broken("waits beside an idle instance");
  const std::uint64_t coming = std::uint64_t{now.starting} * place.limits.invocations_per_instance;
  const bool memory_short = pool_limits_.memory_bytes_max > 0 && place.limits.instance_bytes > 0;
  if (place.waiting.size() > coming && now.live() < place.limits.instances_max &&
      place.limits.start_rate.count == 0 && !memory_short) {
    broken("waits for want of a start");
  }
}

void World::check_expiry() {
  if (!expiries_.empty() && expiries_.begin()->first <= clock_.now()) broken("kept too long");
  const auto due = pool_->due();
  if (due && *due <= clock_.now()) broken("something is due right after advance()");
}

void World::check() {
  for (const std::size_t index : touched_) check_place(index);
  touched_.clear();
  for (const InstanceId id : touched_bodies_) {
    const auto found = bodies_.find(id);
    if (found == bodies_.end()) continue;
    const Body& body = *found->second;
    const bool rests = body.phase == Phase::kReady && !body.dead && body.leases == 0;
    if (rests && body.paused != places_[body.function]->limits.pauses) {
      broken("idle and not paused, or paused without leave");
    }
  }
  touched_bodies_.clear();
  if (pool_->instance_count() != bodies_.size()) broken("instances are lost");
  if (pool_->memory_bytes() != memory_bytes_) broken("memory is lost");
  if (pool_->lease_count() != leases_.size()) broken("leases are lost");
}

std::optional<std::string> World::run() {
  while (!first_broken_) {
    const auto due = pool_->due();
    if (events_.empty() && !due) break;
    if (counts_.asked >= options_.invocations && waiting_.empty() && leases_.empty()) break;
    const bool advances = due && (events_.empty() || *due <= events_.top().when);
    const Clock::Monotonic when = advances ? *due : events_.top().when;
    if (when > clock_.now()) clock_.advance(when - clock_.now());
    ++counts_.events;
    if (advances) {
      pool_->advance();
      check_expiry();
    } else {
      const Event event = events_.top();
      events_.pop();
      play(event);
    }
    check();
  }
  shutting_down_ = true;
  for (std::size_t i = 0; i < places_.size(); ++i) touch(i);
  pool_->shut_down();
  check();
  while (!events_.empty() && !first_broken_) {
    const Event event = events_.top();
    events_.pop();
    if (event.when > clock_.now()) clock_.advance(event.when - clock_.now());
    if (event.kind == Kind::kArrive || event.kind == Kind::kAdmin) continue;
    play(event);
    check();
  }
  if (!waiting_.empty()) broken("an accepted invocation is never answered");
  if (!bodies_.empty()) broken("an instance is never stopped");
  return first_broken_;
}

}  // namespace thaw::warmpool
