#include "runtime/emulator/fleet.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/environment.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// How long a caller waits at most for the runtime to ask for its next event before it hears the end
// of its answer, so that a caller who calls again at once finds the instance free.
constexpr auto kReturnWait = 250ms;
constexpr auto kStartSlack = 2s;  // to kill and reap what was too slow to start

std::string milliseconds_text(std::chrono::nanoseconds time) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f ms", static_cast<double>(time.count()) / 1e6);
  return text;
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

Result<std::unique_ptr<Fleet>> Fleet::create(const Options& options, Clock& clock, LogSink log) {
  std::unique_ptr<Fleet> fleet(new Fleet(options, clock, std::move(log)));
  for (const FunctionOptions& function : options.functions) {
    THAW_TRY_DO(fleet->pool_.add_function(function.name,
                                          reserving(function.pool, function.reserved_concurrency)));
    fleet->functions_.emplace(function.name, function);
    if (function.reserved_concurrency) {
      fleet->reserved_[function.name] = *function.reserved_concurrency;
    }
  }
  fleet->housekeeper_ = std::thread([raw = fleet.get()] { raw->keep_house(); });
  return fleet;
}

Fleet::Fleet(const Options& options, Clock& clock, LogSink log)
    : options_(options),
      clock_(clock),
      log_(std::move(log)),
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
  THAW_TRY_DO(pool_.set_limits(function, reserving(find(function)->pool, reserved)));
  if (reserved) {
    reserved_[std::string(function)] = *reserved;
  } else if (const auto at = reserved_.find(function); at != reserved_.end()) {
    reserved_.erase(at);
  }
  changed_.notify_all();
  return Done{};
}

void Fleet::shut_down() {
  const std::lock_guard lock(mutex_);
  pool_.shut_down();
  for (auto& [id, instance] : instances_) instance->kill();
  changed_.notify_all();
}

// Under the lock, from within the pool.
warmpool::Instance& Fleet::start(std::string_view name, warmpool::InstanceId id,
                                 warmpool::StartFor) {
  const FunctionOptions& function = *find(name);
  InstanceOptions options;
  options.function = function.name;
  options.process = process_options(options_, function, clock_.wall_now(), id);
  options.init_max = options_.init_max;
  options.init_again_max = function.timeout;
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
  auto instance = std::make_unique<Instance>(std::move(options), std::move(events), log_);
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
  const auto deadline = clock_.now() + options_.init_max + function.timeout + kStartSlack;
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

void Fleet::invoke(std::string_view name, const std::shared_ptr<Invocation>& invocation,
                   Caller& caller) {
  const FunctionOptions& function = *find(name);
  Granted granted = lease(function);
  Completion completion;
  if (granted.refusal) {
    const bool throttled = granted.refusal->error.code == Code::kLimit ||
                           granted.refusal->error.code == Code::kDeadline;
    completion.kind = throttled ? Completion::Kind::kThrottled : Completion::Kind::kUnavailable;
    completion.message = granted.refusal->error.message;
    completion.refusal = granted.refusal->reason;
    return caller.finish(completion);
  }
  if (granted.failed_start) {
    completion.failure = granted.failed_start->failure(invocation->request_id);
    log_(cat("[", function.name, "] invocation ", invocation->request_id, ": ",
             completion.failure->type, " before it could begin"));
    return caller.finish(completion);
  }
  auto& instance = static_cast<Instance&>(*granted.lease.instance);
  const Clock::Monotonic deadline = clock_.now() + function.timeout;
  completion = drive(function, granted.lease, invocation, caller);
  if (instance.wait_idle(std::min(deadline, clock_.now() + kReturnWait))) {
    release(granted.lease, warmpool::Use::kReusable);
    return caller.finish(completion);
  }
  caller.finish(completion);
  release(granted.lease,
          instance.wait_idle(deadline) ? warmpool::Use::kReusable : warmpool::Use::kBroken);
}

Completion Fleet::drive(const FunctionOptions& function, const warmpool::Lease& lease,
                        const std::shared_ptr<Invocation>& invocation, Caller& caller) {
  auto& instance = static_cast<Instance&>(*lease.instance);
  AnswerPipe& answer = invocation->answer;
  instance.begin_tail();
  instance.log_line(cat("START RequestId: ", invocation->request_id, " Version: $LATEST"));
  const Clock::Monotonic begun = clock_.now();
  const Clock::Monotonic deadline = begun + function.timeout;
  invocation->deadline =
      clock_.wall_now() + std::chrono::duration_cast<Clock::Wall::duration>(function.timeout);
  instance.give(invocation);

  bool in_time = answer.wait_begin(deadline);
  if (const auto head = answer.head()) caller.begin(*head);
  while (in_time) {
    const auto part = answer.next(deadline);
    in_time = part.has_value();
    if (!in_time || part->empty()) break;
    caller.part(*part);
  }
  Completion completion;
  completion.failure = answer.failure();
  if (!in_time) {
    answer.abandon();
    instance.kill();
    const std::string text =
        cat("Task timed out after ", seconds_text(function.timeout), " seconds");
    completion.failure = platform_failure("Sandbox.Timedout", invocation->request_id, text);
    instance.log_line(cat(iso_time(clock_.wall_now()), " ", invocation->request_id, " ", text));
  }
  report(function, lease, *invocation, clock_.now() - begun, completion.failure);
  completion.log_tail = instance.take_tail();
  return completion;
}

void Fleet::report(const FunctionOptions& function, const warmpool::Lease& lease,
                   const Invocation& invocation, std::chrono::nanoseconds duration,
                   const std::optional<Failure>& failure) {
  auto& instance = static_cast<Instance&>(*lease.instance);
  instance.log_line(cat("END RequestId: ", invocation.request_id));
  const auto init = lease.first_use ? instance.init_time() : std::chrono::nanoseconds(0);
  const auto billed = std::chrono::ceil<std::chrono::milliseconds>(duration + init);
  std::string line =
      cat("REPORT RequestId: ", invocation.request_id, "\tDuration: ", milliseconds_text(duration),
          "\tBilled Duration: ", billed.count(), " ms\tMemory Size: ", function.memory_mb, " MB");
  if (const std::uint64_t peak = instance.peak_bytes(); peak > 0) {
    line += cat("\tMax Memory Used: ", (peak + (1 << 20) - 1) >> 20, " MB");
  }
  if (lease.first_use) line += cat("\tInit Duration: ", milliseconds_text(init));
  if (const auto head = invocation.answer.head(); head && !head->timing.empty()) {
    line += cat("\tTimings: ", head->timing);
  }
  if (failure) {
    const bool timeout = failure->type == "Sandbox.Timedout";
    line += cat("\tStatus: ", timeout ? "timeout" : "error");
    if (!timeout) line += cat("\tError Type: ", failure->type);
  }
  instance.log_line(line);
}

}  // namespace thaw::emulator
