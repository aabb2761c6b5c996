#include "runtime/emulator/fleet.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/extensions.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// AWS's, for starts that are not on demand: they are made ahead of who needs them.
constexpr std::chrono::milliseconds kInitAheadMin = 130s;
constexpr warmpool::Rate kStartRate{1000, 10s};  // AWS's, for each function
constexpr auto kStartSlack = 2s;                 // to kill and reap what was too slow to start

bool starts_ahead(const FunctionOptions& function, warmpool::StartFor why) {
  return function.snap_start || why == warmpool::StartFor::kProvisioned;
}

warmpool::FunctionLimits limits_of(const FunctionOptions& function, bool freezes) {
  warmpool::FunctionLimits limits = function.pool;
  limits.pauses = freezes && limits.invocations_per_instance == 1;
  if (limits.start_rate.count == 0) limits.start_rate = kStartRate;
  return limits;
}

// A function's limits with so much of the account's concurrency set aside for it alone.
warmpool::FunctionLimits reserving(warmpool::FunctionLimits limits,
                                   std::optional<std::uint32_t> reserved) {
  if (!reserved) return limits;
  limits.reserved = true;
  limits.instances_max = *reserved;
  return limits;
}

}  // namespace

Result<std::unique_ptr<Fleet>> Fleet::create(const Options& options, Clock& clock, LogSink log,
                                             Ledger& ledger) {
  std::unique_ptr<Fleet> fleet(new Fleet(options, clock, std::move(log), ledger));
  if (!options.extensions.empty()) {
    THAW_TRY(names, executables_in(options.extensions));
    for (const std::string& name : names) {
      fleet->extensions_.push_back(cat(options.extensions, "/", name));
    }
  }
  for (const FunctionOptions& function : options.functions) {
    fleet->functions_.emplace(function.name, function);
    if (function.reserved_concurrency) {
      fleet->reserved_[function.name] = *function.reserved_concurrency;
    }
  }
  fleet->housekeeper_ = std::thread([raw = fleet.get()] { raw->keep_house(); });
  // Instances may be started from here on.
  const std::lock_guard lock(fleet->mutex_);
  for (const FunctionOptions& function : options.functions) {
    const auto added = fleet->pool_.add_function(
        function.name,
        reserving(limits_of(function, options.freezes), function.reserved_concurrency));
    if (!added) return added.error();
  }
  fleet->changed_.notify_all();
  return fleet;
}

Fleet::Fleet(const Options& options, Clock& clock, LogSink log, Ledger& ledger)
    : options_(options),
      clock_(clock),
      log_(std::move(log)),
      ledger_(ledger),
      faults_(options.faults, options.fault_seed),
      pool_(clock, *this, {.concurrency_max = options.concurrency_max}) {}

Fleet::~Fleet() {
  if (!housekeeper_.joinable()) return;
  shut_down();
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pool_.instance_count() == 0; });
    ending_ = true;
    changed_.notify_all();
  }
  housekeeper_.join();
}

const FunctionOptions* Fleet::find(std::string_view function) const {
  const auto at = functions_.find(function);
  return at == functions_.end() ? nullptr : &at->second;
}

std::size_t Fleet::instance_count() const {
  const std::lock_guard lock(mutex_);
  return pool_.instance_count();
}

std::optional<std::uint32_t> Fleet::reserved_concurrency(std::string_view function) const {
  const std::lock_guard lock(mutex_);
  const auto at = reserved_.find(function);
  if (at == reserved_.end()) return std::nullopt;
  return at->second;
}

Result<Done> Fleet::set_reserved_concurrency(std::string_view function,
                                             std::optional<std::uint32_t> reserved) {
  const std::lock_guard lock(mutex_);
  THAW_TRY_DO(pool_.set_limits(function,
                               reserving(limits_of(*find(function), options_.freezes), reserved)));
  if (reserved) {
    reserved_[std::string(function)] = *reserved;
  } else if (const auto at = reserved_.find(function); at != reserved_.end()) {
    reserved_.erase(at);
  }
  changed_.notify_all();
  return Done{};
}

void Fleet::shut_down() {
  stopping_ = true;
  const std::lock_guard lock(mutex_);
  pool_.shut_down();
  // The others have been told to stop, and may have something left to do.
  for (auto& [id, instance] : instances_) {
    if (!instance->stopping()) instance->kill();
  }
  changed_.notify_all();
}

std::vector<FunctionState> Fleet::overview() const {
  const std::lock_guard lock(mutex_);
  std::vector<FunctionState> states;
  for (const auto& [name, function] : functions_) {
    FunctionState state;
    state.name = name;
    state.held = held_.contains(name);
    if (const auto now = pool_.occupancy(name)) state.now = *now;
    for (const auto& [id, instance] : instances_) {
      if (instance->function() != name) continue;
      state.instances.push_back(
          {id, instance->state_name(), instance->pid(), instance->peak_bytes()});
    }
    states.push_back(std::move(state));
  }
  return states;
}

void Fleet::renew(std::string_view function) {
  const std::lock_guard lock(mutex_);
  (void)pool_.recycle(function);
  changed_.notify_all();
}

void Fleet::hold(std::string_view function) {
  const std::lock_guard lock(mutex_);
  const auto held = held_.find(function);
  const bool holds = held == held_.end();
  if (holds) {
    held_.emplace(function);
  } else {
    held_.erase(held);
  }
  for (auto& [id, instance] : instances_) {
    if (instance->function() == function) instance->hold(holds);
  }
}

void Fleet::kill(std::string_view function) {
  const std::lock_guard lock(mutex_);
  for (auto& [id, instance] : instances_) {
    if (instance->function() == function) instance->kill();
  }
}

InstanceOptions Fleet::instance_options(const FunctionOptions& function, warmpool::InstanceId id,
                                        warmpool::StartFor why) {
  InstanceOptions options;
  options.function = function.name;
  options.handler = function.snapshot.substr(function.snapshot.rfind('/') + 1);
  if (why == warmpool::StartFor::kProvisioned) options.init_type = kProvisioned;
  if (function.snap_start) options.init_type = kSnapStart;
  options.process = process_options(options_, function, options.init_type, clock_.wall_now(), id);
  options.extensions = extensions_;
  if (starts_ahead(function, why)) {
    options.init_max = std::max(kInitAheadMin, function.timeout);
  } else {
    options.init_max = options_.init_max;
    options.init_again_max = function.timeout;
  }
  options.memory_bytes_max = std::uint64_t{function.memory_mb} << 20;
  options.concurrency = function.pool.invocations_per_instance;
  options.log_format = options_.log_format;
  options.seed = options_.fault_seed ^ (id << 20);
  if (options_.drop_cache) options.evict = function.snapshot;
  using Sabotage = InstanceOptions::Sabotage;
  if (faults_.draw(FaultKind::kInitHang)) options.sabotage = Sabotage::kHang;
  if (faults_.draw(FaultKind::kInitCrash)) options.sabotage = Sabotage::kCrash;
  return options;
}

// Under the lock, from within the pool.
warmpool::Instance& Fleet::start(std::string_view name, warmpool::InstanceId id,
                                 warmpool::StartFor why) {
  InstanceEvents events;
  events.ready = [this, id] {
    const std::lock_guard lock(mutex_);
    pool_.ready(id);
    changed_.notify_all();
  };
  events.gone = [this, id](const InstanceEnd& end) {
    const std::lock_guard lock(mutex_);
    failed_start_ = &end;
    pool_.gone(id, fail(Code::kIo, end.type));
    failed_start_ = nullptr;
    changed_.notify_all();
  };
  auto instance = std::make_unique<Instance>(instance_options(*find(name), id, why),
                                             std::move(events), clock_, log_);
  return *instances_.emplace(id, std::move(instance)).first->second;
}

// Under the lock, from within the pool, and perhaps on the instance's own thread, which the
// destructor waits for: the housekeeper destroys it.
void Fleet::retired(warmpool::InstanceId id) {
  const auto at = instances_.find(id);
  retired_.push_back(std::move(at->second));
  instances_.erase(at);
  changed_.notify_all();
}

void Fleet::keep_house() {
  std::unique_lock lock(mutex_);
  while (true) {
    pool_.advance();
    if (!retired_.empty()) {
      auto retired = std::exchange(retired_, {});
      lock.unlock();
      retired.clear();
      lock.lock();
      continue;
    }
    if (ending_) return;
    const auto due = pool_.due();
    if (due) {
      changed_.wait_until(lock, *due);
    } else {
      changed_.wait(lock);
    }
  }
}

Fleet::Granted Fleet::lease(const FunctionOptions& function) {
  std::unique_lock lock(mutex_);
  Granted granted;
  bool answered = false;
  // Beyond both attempts at a start, so that a start that fails tells why itself.
  const bool ahead = starts_ahead(function, warmpool::StartFor::kInvocation);
  const auto start_max = ahead ? std::max(kInitAheadMin, function.timeout) + Instance::kRestoreMax
                               : options_.init_max + function.timeout;
  const auto deadline = clock_.now() + start_max + kStartSlack;
  pool_.acquire(function.name, deadline, [&](warmpool::Answer answer) {
    answered = true;
    if (const auto* lease = std::get_if<warmpool::Lease>(&answer)) {
      granted.lease = *lease;
    } else if (failed_start_ != nullptr) {
      granted.failed_start = *failed_start_;
    } else {
      granted.refusal = std::get<warmpool::Refusal>(std::move(answer));
    }
    changed_.notify_all();
  });
  changed_.notify_all();  // the housekeeper's next date may be another
  changed_.wait(lock, [&] { return answered; });
  return granted;
}

void Fleet::release(const warmpool::Lease& lease, warmpool::Use use) {
  const std::lock_guard lock(mutex_);
  pool_.release(lease.id, use);
  changed_.notify_all();
}

}  // namespace thaw::emulator
