#include "runtime/simulate/simulation.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/str.h"

namespace thaw::simulate {
namespace {

using std::chrono::nanoseconds;
using warmpool::InstanceId;
using warmpool::LeaseId;

constexpr std::chrono::milliseconds kProvisionedStep = std::chrono::minutes(5);  // Lambda's
constexpr std::chrono::hours kSnapshotKeptMin{3};  // and bills a cached version at least that
constexpr std::chrono::hours kMonth{24 * 30};

class Run final : private warmpool::Host {
 public:
  explicit Run(const Setup& setup)
      : setup_(setup),
        start_time_(setup.restore.value_or(setup.phases.start)),
        gigabytes_(setup.shape.memory_mb / 1024.0),
        pool_(clock_, static_cast<warmpool::Host&>(*this), setup.pool) {}

  Result<Outcome> play(Arrivals& arrivals);

 private:
  struct Body final : warmpool::Instance {
    void stop() override { run->stopped(*this); }
    Run* run = nullptr;
    InstanceId id = 0;
    bool provisioned = false;
    bool ready = false, stopping = false, billed_start = false;
    std::uint32_t leases = 0;
    nanoseconds since{0};  // the last time that it became ready, busy or idle
  };
  enum class Kind : unsigned char { kReady, kFinish, kGone };
  struct Event {
    nanoseconds when;
    std::uint64_t sequence;
    Kind kind;
    std::uint64_t subject;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };
  // An invocation between arrival and answer. Slots are used again, so that memory stays flat.
  struct Slot {
    Arrival arrival;
    LeaseId lease = 0;
    Body* body = nullptr;
    bool times_out = false;
  };

  warmpool::Instance& start(std::string_view, InstanceId id, warmpool::StartFor why) override;
  void retired(InstanceId id) override { bodies_.erase(id); }
  void stopped(Body& body);

  nanoseconds now() const { return clock_.now().time_since_epoch(); }
  void move_to(nanoseconds when) {
    if (when > now()) clock_.advance(when - now());
  }
  void at(nanoseconds when, Kind kind, std::uint64_t subject) {
    events_.push({when, sequence_++, kind, subject});
  }
  Result<Done> meet(std::uint32_t function);
  void arrive(const Arrival& arrival);
  void hear(std::uint32_t slot, const warmpool::Answer& answer);
  void lent(std::uint32_t number, const warmpool::Lease& lease);
  void finish(std::uint32_t number);
  void count_time(Body& body);
  void bill_busy(Body& body);
  void step();

  const Setup& setup_;
  nanoseconds start_time_;
  double gigabytes_;
  ManualClock clock_;
  std::unordered_map<InstanceId, std::unique_ptr<Body>> bodies_;
  warmpool::Pool pool_;
  std::vector<std::string> names_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t under_way_ = 0;  // arrived, neither refused nor answered
  Outcome out_;
};

warmpool::Instance& Run::start(std::string_view, InstanceId id, warmpool::StartFor why) {
  auto body = std::make_unique<Body>();
  body->run = this;
  body->id = id;
  body->provisioned = why == warmpool::StartFor::kProvisioned;
  ++out_.starts;
  out_.prewarmed += why == warmpool::StartFor::kPrewarm;
  if (setup_.restore && !body->provisioned) ++out_.usage.restores;
  at(now() + start_time_, Kind::kReady, id);
  auto& kept = bodies_.emplace(id, std::move(body)).first->second;
  out_.instances_peak = std::max<std::uint64_t>(out_.instances_peak, bodies_.size());
  return *kept;
}

void Run::stopped(Body& body) {
  if (body.ready) count_time(body);
  body.ready = false;
  body.stopping = true;
  at(now(), Kind::kGone, body.id);
}

// Adds the time since the body's last change to where it belongs.
void Run::count_time(Body& body) {
  const double spent = std::chrono::duration<double>(now() - body.since).count();
  (body.leases > 0 ? out_.busy_gb_seconds : out_.idle_gb_seconds) += spent * gigabytes_;
}

// An instance is billed from its first lease to the end of its last, however many share it.
void Run::bill_busy(Body& body) {
  nanoseconds time = now() - body.since;
  const bool first = !std::exchange(body.billed_start, true);
  if (first && !body.provisioned && !setup_.restore && cost::bills_starts(setup_.shape.platform)) {
    time += start_time_;
  }
  auto& usage = out_.usage;
  (body.provisioned ? usage.provisioned_run : usage.run) +=
      cost::billed(setup_.shape.platform, time);
}

// Functions appear as the trace names them.
Result<Done> Run::meet(std::uint32_t function) {
  while (names_.size() <= function) {
    names_.push_back(cat("function-", names_.size()));
    THAW_TRY_DO(pool_.add_function(names_.back(), setup_.limits));
    ++out_.functions;
  }
  return Done{};
}

void Run::arrive(const Arrival& arrival) {
  std::uint32_t number = 0;
  if (free_slots_.empty()) {
    number = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    number = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[number] = Slot{arrival, 0, nullptr, false};
  ++out_.arrived;
  ++under_way_;
  std::optional<Clock::Monotonic> deadline;
  if (setup_.queue_max) deadline = clock_.now() + *setup_.queue_max;
  pool_.acquire(names_[arrival.function], deadline,
                [this, number](const warmpool::Answer& answer) { hear(number, answer); });
}

void Run::hear(std::uint32_t number, const warmpool::Answer& answer) {
  if (const auto* lease = std::get_if<warmpool::Lease>(&answer)) return lent(number, *lease);
  ++out_.refused;
  ++out_.refused_for[static_cast<std::size_t>(std::get<warmpool::Refusal>(answer).reason)];
  --under_way_;
  free_slots_.push_back(number);
}

void Run::lent(std::uint32_t number, const warmpool::Lease& lease) {
  Slot& slot = slots_[number];
  Body& body = static_cast<Body&>(*lease.instance);
  slot.lease = lease.id;
  slot.body = &body;
  if (body.leases == 0) {
    count_time(body);
    body.since = now();
  }
  ++body.leases;
  out_.leases_peak = std::max(out_.leases_peak, pool_.lease_count());
  const Phases& phases = setup_.phases;
  const nanoseconds waited = now() - slot.arrival.at;
  nanoseconds time = phases.to_end(slot.arrival.prompt_tokens, slot.arrival.output_tokens);
  slot.times_out = time > setup_.timeout;
  if (slot.times_out) {
    time = setup_.timeout;
    ++out_.timed_out;
  } else {
    ++out_.served;
    const nanoseconds latency = waited + time;
    const bool cold = lease.first_use && lease.started_for == warmpool::StartFor::kInvocation;
    out_.cold += cold;
    out_.latency.add(latency);
    (cold ? out_.cold_latency : out_.warm_latency).add(latency);
    out_.first_token.add(waited + phases.to_first_token(slot.arrival.prompt_tokens));
    out_.waited.add(waited);
  }
  at(now() + time, Kind::kFinish, number);
}

void Run::finish(std::uint32_t number) {
  const Slot slot = slots_[number];
  Body& body = *slot.body;
  if (body.leases == 1) {
    count_time(body);
    bill_busy(body);
    body.since = now();
  }
  --body.leases;
  --under_way_;
  ++out_.usage.requests;
  free_slots_.push_back(number);
  // What ran out of time is killed, as platforms do.
  pool_.release(slot.lease, slot.times_out ? warmpool::Use::kBroken : warmpool::Use::kReusable);
}

// The next event that is not an arrival.
void Run::step() {
  const auto due = pool_.due();
  if (due && (events_.empty() || due->time_since_epoch() <= events_.top().when)) {
    move_to(due->time_since_epoch());
    return pool_.advance();
  }
  const Event event = events_.top();
  events_.pop();
  move_to(event.when);
  switch (event.kind) {
    case Kind::kFinish: return finish(static_cast<std::uint32_t>(event.subject));
    case Kind::kGone: return pool_.gone(event.subject, fail(Code::kCancelled, "it was stopped"));
    case Kind::kReady: break;
  }
  const auto found = bodies_.find(event.subject);
  if (found == bodies_.end() || found->second->stopping) return;
  found->second->ready = true;
  found->second->since = now();
  pool_.ready(event.subject);
}

Result<Outcome> Run::play(Arrivals& arrivals) {
  THAW_TRY_DO(check(setup_.phases));
  THAW_TRY_DO(cost::check(setup_.shape));
  THAW_TRY_DO(meet(0));
  while (true) {
    THAW_TRY(arrival, arrivals.next());
    if (!arrival) break;
    while (true) {
      const auto due = pool_.due();
      const bool early = (due && due->time_since_epoch() <= arrival->at) ||
                         (!events_.empty() && events_.top().when <= arrival->at);
      if (!early) break;
      step();
    }
    move_to(arrival->at);
    THAW_TRY_DO(meet(arrival->function));
    arrive(*arrival);
  }
  while (under_way_ > 0) step();
  out_.span = now();
  for (auto& [id, body] : bodies_) {
    if (body->ready) count_time(*body);
  }
  const auto span = std::chrono::ceil<std::chrono::milliseconds>(out_.span);
  if (setup_.limits.provisioned > 0) {
    const bool steps = setup_.shape.platform == cost::Platform::kLambdaX86 ||
                       setup_.shape.platform == cost::Platform::kLambdaArm;
    const std::chrono::milliseconds step = steps ? kProvisionedStep : std::chrono::milliseconds(1);
    const auto rounded = (span + step - std::chrono::milliseconds(1)) / step * step;
    out_.usage.provisioned =
        rounded * static_cast<std::int64_t>(setup_.limits.provisioned * out_.functions);
  }
  if (setup_.restore) {
    out_.usage.snapshot_kept = std::max<std::chrono::milliseconds>(span, kSnapshotKeptMin) *
                               static_cast<std::int64_t>(out_.functions);
  }
  return std::move(out_);
}

}  // namespace

Result<Outcome> simulate(Arrivals& arrivals, const Setup& setup) {
  return Run(setup).play(arrivals);
}

cost::Bill month_of(const Outcome& outcome, const Setup& setup, const cost::PriceList& prices,
                    bool free_tier) {
  cost::Usage month;
  const double seconds = std::chrono::duration<double>(outcome.span).count();
  const double times = seconds > 0 ? std::chrono::duration<double>(kMonth).count() / seconds : 0;
  const auto scaled = [&](std::chrono::milliseconds time) {
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(static_cast<double>(time.count()) * times));
  };
  const auto many = [&](std::uint64_t count) {
    return static_cast<std::uint64_t>(static_cast<double>(count) * times + 0.5);
  };
  month.requests = many(outcome.usage.requests);
  month.run = scaled(outcome.usage.run);
  month.provisioned_run = scaled(outcome.usage.provisioned_run);
  month.restores = many(outcome.usage.restores);
  month.streamed_bytes = many(outcome.usage.streamed_bytes);
  const auto functions = static_cast<std::int64_t>(outcome.functions);
  month.provisioned = kMonth * static_cast<std::int64_t>(setup.limits.provisioned) * functions;
  if (setup.restore) month.snapshot_kept = kMonth * functions;
  return cost::bill(setup.shape, month, prices, free_tier);
}

std::string_view name_of(warmpool::Reason reason) {
  using warmpool::Reason;
  switch (reason) {
    case Reason::kUnknownFunction: return "unknown function";
    case Reason::kFunctionConcurrency: return "function limit";
    case Reason::kTotalConcurrency: return "total limit";
    case Reason::kFunctionInvocationRate: return "function rate";
    case Reason::kTotalInvocationRate: return "total rate";
    case Reason::kStartRate: return "start rate";
    case Reason::kWaitedTooLong: return "waited too long";
    case Reason::kStartFailed: return "start failed";
    case Reason::kDraining: return "draining";
    case Reason::kShutDown: break;
  }
  return "shut down";
}

}  // namespace thaw::simulate
