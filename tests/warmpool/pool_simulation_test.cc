// Random traffic on virtual time: every invariant that pool.h states is checked after every event,
// against a model that keeps its own books.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/random.h"
#include "warmpool/pool.h"

namespace thaw::warmpool {
namespace {

using namespace std::chrono_literals;

enum class Phase { kStarting, kReady, kStopping, kGone };

struct SimInstance final : Instance {
  explicit SimInstance(Phase& phase) : phase(phase) {}
  void stop() override {
    EXPECT_TRUE(phase == Phase::kStarting || phase == Phase::kReady) << "stopped twice, or gone";
    phase = Phase::kStopping;
    stopped = true;
  }
  Phase& phase;
  bool stopped = false;
};

struct Body {
  Phase phase = Phase::kStarting;
  std::string function;
  bool leased = false;
  bool dead_on_lease = false;
  Clock::Monotonic idle_since{};
  std::unique_ptr<SimInstance> instance;
};

struct Asked {
  std::string function;
  std::optional<Clock::Monotonic> deadline;
  bool answered = false, cancelled = false;
};

class Simulation final : public Host {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) {
    for (const char* name : {"a", "b", "c"}) {
      FunctionLimits limits;
      limits.instances_max = 1 + static_cast<std::uint32_t>(random_.below(4));
      limits.queue_length_max = static_cast<std::uint32_t>(random_.below(4));
      keep_[name] = std::chrono::milliseconds(random_.below(2000));
      limits.keep_alive = FixedTime{keep_[name]};
      limits_[name] = limits;
      EXPECT_TRUE(pool_.add_function(name, limits));
    }
  }

  Instance& start(std::string_view function, InstanceId id, StartFor) override {
    EXPECT_EQ(bodies_.count(id), 0u) << "an instance id was used twice";
    Body& body = bodies_[id];
    body.function = function;
    body.instance = std::make_unique<SimInstance>(body.phase);
    ++starts_;
    return *body.instance;
  }
  void retired(InstanceId id) override {
    EXPECT_EQ(bodies_.at(id).phase, Phase::kGone);
    EXPECT_FALSE(bodies_.at(id).leased);
    bodies_.erase(id);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      check();
    }
    drain();
  }

 private:
  void step() {
    switch (random_.below(10)) {
      case 0:
      case 1:
      case 2: return ask();
      case 3:
      case 4: return finish(random_.below(5) != 0);
      case 5:
      case 6: return become_ready();
      case 7: return end_one();
      case 8: return cancel_one();
      default:
        clock_.advance(std::chrono::milliseconds(random_.below(400)));
        pool_.advance();
        advanced_ = true;
    }
  }

  void ask() {
    const std::string function(1, static_cast<char>('a' + random_.below(3)));
    const std::size_t n = asked_.size();
    Asked entry{function, {}, false, false};
    if (random_.below(2) == 0) {
      entry.deadline = clock_.now() + std::chrono::milliseconds(random_.below(1500));
    }
    asked_.push_back(entry);
    tickets_[n] = pool_.acquire(function, entry.deadline,
                                [this, n](const Answer& answer) { hear(n, answer); });
  }

  void hear(std::size_t n, const Answer& told) {
    Asked& entry = asked_[n];
    EXPECT_FALSE(entry.answered) << "answered twice";
    EXPECT_FALSE(entry.cancelled) << "answered after it was cancelled";
    entry.answered = true;
    if (const auto* refusal = std::get_if<Refusal>(&told)) {
      if (refusal->reason == Reason::kWaitedTooLong) {
        EXPECT_LE(*entry.deadline, clock_.now());
      } else if (refusal->reason == Reason::kFunctionConcurrency) {
        const FunctionLimits& limits = limits_[entry.function];
        EXPECT_GE(under_way(entry.function), limits.instances_max + limits.queue_length_max)
            << "refused below the limit";
      }
      return;
    }
    const Lease* answer = &std::get<Lease>(told);
    for (std::size_t earlier = 0; earlier < n; ++earlier) {
      EXPECT_TRUE(asked_[earlier].function != entry.function || asked_[earlier].answered ||
                  asked_[earlier].cancelled)
          << "overtaken";
    }
    Body& body = bodies_.at(answer->instance_id);
    EXPECT_EQ(body.function, entry.function);
    EXPECT_EQ(body.phase, Phase::kReady);
    EXPECT_FALSE(body.leased) << "leased twice";
    body.leased = true;
    EXPECT_TRUE(leases_.emplace(answer->id, answer->instance_id).second);
  }

  void finish(bool reusable) {
    if (leases_.empty()) return;
    auto at = leases_.begin();
    std::advance(at, random_.below(leases_.size()));
    const auto [lease, id] = *at;
    leases_.erase(at);
    Body& body = bodies_.at(id);
    body.leased = false;
    body.idle_since = clock_.now();
    if (body.dead_on_lease) body.phase = Phase::kGone;
    pool_.release(lease, reusable ? Use::kReusable : Use::kBroken);
  }

  InstanceId pick(bool (*fits)(const Body&)) {
    std::vector<InstanceId> fitting;
    for (const auto& [id, body] : bodies_) {
      if (fits(body)) fitting.push_back(id);
    }
    return fitting.empty() ? 0 : fitting[random_.below(fitting.size())];
  }

  void become_ready() {
    const InstanceId id = pick([](const Body& body) { return body.phase == Phase::kStarting; });
    if (id == 0) return;
    bodies_.at(id).phase = Phase::kReady;
    bodies_.at(id).idle_since = clock_.now();
    pool_.ready(id);
  }

  // A start fails, an idle or leased instance dies, or a stopping one ends.
  void end_one() {
    const InstanceId id = pick([](const Body& body) { return !body.dead_on_lease; });
    if (id == 0) return;
    Body& body = bodies_.at(id);
    if (body.leased) {
      body.dead_on_lease = true;
    } else {
      body.phase = Phase::kGone;
    }
    pool_.gone(id, fail(Code::kIo, "died"));
  }

  void cancel_one() {
    if (tickets_.empty()) return;
    auto at = tickets_.begin();
    std::advance(at, random_.below(tickets_.size()));
    const auto [n, ticket] = *at;
    const bool waiting = !asked_[n].answered && !asked_[n].cancelled;
    EXPECT_EQ(pool_.cancel(ticket), waiting);
    if (waiting) asked_[n].cancelled = true;
    tickets_.erase(at);
  }

  std::size_t under_way(const std::string& function) const {
    std::size_t count = waiting(function);
    for (const auto& [lease, id] : leases_) count += bodies_.at(id).function == function;
    return count;
  }
  std::size_t waiting(const std::string& function) const {
    return static_cast<std::size_t>(
        std::count_if(asked_.begin(), asked_.end(), [&](const Asked& entry) {
          return entry.function == function && !entry.answered && !entry.cancelled;
        }));
  }

  void check() {
    for (const auto& [name, limits] : limits_) {
      std::uint32_t live = 0, starting = 0, idle = 0;
      for (const auto& [id, body] : bodies_) {
        if (body.function != name) continue;
        ++live;
        starting += body.phase == Phase::kStarting;
        const bool is_idle = body.phase == Phase::kReady && !body.leased;
        idle += is_idle;
        if (is_idle && advanced_) {
          EXPECT_GT(body.idle_since + keep_[name], clock_.now()) << "kept too long";
        }
      }
      const Occupancy now = *pool_.occupancy(name);
      EXPECT_EQ(now.live(), live);
      EXPECT_EQ(now.starting, starting);
      EXPECT_EQ(now.idle, idle);
      EXPECT_EQ(now.waiting, waiting(name));
      EXPECT_LE(live, limits.instances_max);
      EXPECT_LE(under_way(name), limits.instances_max + limits.queue_length_max);
      if (now.waiting > 0) {
        EXPECT_EQ(idle, 0u) << "waits beside an idle instance";
      }
      if (now.waiting > starting) {
        EXPECT_EQ(live, limits.instances_max) << "waits for want of a start";
      }
    }
    EXPECT_LE(starts_, asked_.size());
    // Nothing is overdue right after advance().
    if (advanced_ && pool_.due()) {
      EXPECT_GT(*pool_.due(), clock_.now());
    }
    advanced_ = false;
  }

  // Afterwards nobody is left unanswered and nothing is left running.
  void drain() {
    pool_.shut_down();
    while (!leases_.empty()) finish(true);
    std::vector<InstanceId> left;
    for (const auto& [id, body] : bodies_) left.push_back(id);
    for (const InstanceId id : left) {
      EXPECT_TRUE(bodies_.at(id).instance->stopped);
      bodies_.at(id).phase = Phase::kGone;
      pool_.gone(id, fail(Code::kIo, "stopped"));
    }
    EXPECT_EQ(pool_.instance_count(), 0u);
    EXPECT_TRUE(bodies_.empty());
    for (const Asked& entry : asked_) EXPECT_TRUE(entry.answered || entry.cancelled) << "lost";
  }

  Random random_;
  ManualClock clock_;
  Pool pool_{clock_, *this};
  std::map<std::string, FunctionLimits> limits_;
  std::map<std::string, std::chrono::nanoseconds> keep_;
  std::map<InstanceId, Body> bodies_;
  std::map<LeaseId, InstanceId> leases_;
  std::vector<Asked> asked_;
  std::map<std::size_t, Ticket> tickets_;
  std::size_t starts_ = 0;
  bool advanced_ = false;
};

TEST(PoolSimulation, KeepsItsInvariantsUnderRandomTraffic) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Simulation(seed).run(400);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace thaw::warmpool
