// Traffic on virtual time for a pool whose surroundings fail in every way they can: starts that
// fail, crashes, time limits, cancels, limits that change, draining. It keeps its own books and
// holds the pool to the invariants that pool.h states after every event, looking only at what the
// event touched.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "warmpool/pool.h"

namespace thaw::warmpool {

struct WorldOptions {
  std::uint64_t seed = 1;
  std::uint64_t invocations = 1000;
  std::uint32_t functions_max = 6;
  std::uint32_t instances_max = 12;  // of a function, at most
  bool faults = true;
};

struct WorldCounts {
  std::uint64_t events = 0, asked = 0, leased = 0, refused = 0, cancelled = 0;
  std::uint64_t started = 0, failed_starts = 0, crashed = 0, evicted = 0, prewarmed = 0, reset = 0;
  std::uint64_t waited_too_long = 0, drained = 0, recycled = 0, limits_changed = 0;
};

class World final : private Host {
 public:
  explicit World(const WorldOptions& options);
  ~World() override;

  // Runs all invocations to their end and shuts the pool down. The first broken invariant, in
  // words; nothing when all held.
  std::optional<std::string> run();
  const WorldCounts& counts() const { return counts_; }

 private:
  enum class Phase : unsigned char { kStarting, kReady, kStopping };
  enum class Kind : unsigned char {
    kArrive,
    kReady,
    kFailStart,
    kFinish,
    kCrash,
    kEnd,
    kCancel,
    kAdmin
  };
  struct Event {
    Clock::Monotonic when;
    std::uint64_t sequence;
    Kind kind;
    std::uint64_t
        subject;  // a function's index, an instance's, a lease's or an invocation's number
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };
  struct Body;
  struct Place;  // a function's books
  struct Asked {
    std::size_t function = 0;
    Ticket ticket = 0;
    std::optional<Clock::Monotonic> deadline;
  };

  Instance& start(std::string_view function, InstanceId id, StartFor why) override;
  void retired(InstanceId id) override;

  void broken(const std::string& what);
  void add_functions();
  FunctionLimits random_limits();
  void at(std::chrono::nanoseconds delay, Kind kind, std::uint64_t subject);
  std::chrono::nanoseconds about(std::chrono::nanoseconds mean);  // exponential
  bool chance(double probability) { return random_.unit() < probability; }

  void play(const Event& event);
  void arrive(std::size_t function);
  void hear(std::uint64_t number, const Answer& answer);
  void hear_lease(std::uint64_t number, const Asked& asked, const Lease& lease);
  void finish(LeaseId lease);
  void crash(InstanceId id);
  void end(InstanceId id);
  void administer(std::size_t function);
  void fell_idle(Body& body);
  void no_longer_idle(Body& body);
  void touch(std::size_t function) { touched_.insert(function); }

  void check();
  void check_place(std::size_t index);
  void check_expiry();

  WorldOptions options_;
  Random random_;
  ManualClock clock_;
  PoolLimits pool_limits_;
  std::unique_ptr<Pool> pool_;
  std::vector<std::unique_ptr<Place>> places_;
  std::unordered_map<InstanceId, std::unique_ptr<Body>> bodies_;
  std::unordered_map<LeaseId, InstanceId> leases_;
  std::unordered_map<std::uint64_t, Asked> waiting_;  // by number
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::set<std::pair<Clock::Monotonic, InstanceId>> expiries_;  // of fixed keep-alives
  std::set<std::size_t> touched_;
  std::set<InstanceId> touched_bodies_;
  std::uint64_t sequence_ = 0, memory_bytes_ = 0, under_way_shared_ = 0, under_way_ = 0;
  std::uint64_t last_started_ = 0;
  bool advancing_ = false, shutting_down_ = false, administering_ = false;
  WorldCounts counts_;
  std::optional<std::string> first_broken_;
};

}  // namespace thaw::warmpool
