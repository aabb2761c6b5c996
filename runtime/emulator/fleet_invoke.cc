// The part of a fleet that has one invocation answered and keeps the platform's books about it.
#include <algorithm>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/passage.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// How long a caller waits at most for the runtime to ask for its next event before it hears the end
// of its answer, so that a caller who calls again at once finds the instance free, and what the
// runtime still has to say stands before END.
constexpr auto kReturnWait = 250ms;
// How long an invocation that ran out of time keeps its place in an instance that goes on.
constexpr auto kOverdueMax = 24h;

Ending ending_of(const std::optional<Failure>& failure) {
  if (!failure) return Ending::kAnswered;
  return failure->type == "Sandbox.Timedout" ? Ending::kTimedOut : Ending::kFailed;
}

}  // namespace

void Fleet::invoke(std::string_view name, const std::shared_ptr<Invocation>& invocation,
                   Caller& caller) {
  const FunctionOptions& function = *find(name);
  LedgerEntry record;
  record.at = clock_.wall_now();
  record.function = function.name;
  record.request_id = invocation->request_id;
  record.memory_mb = function.memory_mb;
  if (faults_.draw(FaultKind::kThrottle)) {
    return refuse({warmpool::Reason::kFunctionConcurrency,
                   fail(Code::kLimit, cat("invoke '", name, "': throttled on purpose"))},
                  std::move(record), caller);
  }
  const Clock::Monotonic asked = clock_.now();
  Granted granted = lease(function);
  record.waited = clock_.now() - asked;
  if (granted.refusal) return refuse(*granted.refusal, std::move(record), caller);
  if (granted.failed_start) {
    return fail_start(function, *granted.failed_start, *invocation, std::move(record), caller);
  }
  auto& instance = static_cast<Instance&>(*granted.lease.instance);
  const bool shared = function.pool.invocations_per_instance > 1;
  const Clock::Monotonic deadline = clock_.now() + (shared ? kOverdueMax : function.timeout);
  const Driven driven = drive(function, granted.lease, invocation, caller, record);
  ledger_.add(record);
  const auto good = options_.always_cold ? warmpool::Use::kBroken : warmpool::Use::kReusable;
  if (driven.idle) {
    release(granted.lease, good);
    return caller.finish(driven.completion);
  }
  caller.finish(driven.completion);
  const bool fit = driven.fit && instance.wait_idle(invocation->request_id, deadline);
  release(granted.lease, fit ? good : warmpool::Use::kBroken);
}

void Fleet::refuse(const warmpool::Refusal& refusal, LedgerEntry record, Caller& caller) {
  const bool throttled =
      refusal.error.code == Code::kLimit || refusal.error.code == Code::kDeadline;
  Completion completion;
  completion.kind = throttled ? Completion::Kind::kThrottled : Completion::Kind::kUnavailable;
  completion.message = refusal.error.message;
  completion.refusal = refusal.reason;
  record.ending = throttled ? Ending::kThrottled : Ending::kUnavailable;
  ledger_.add(record);
  caller.finish(completion);
}

// There never was an instance to say it: both attempts at a start failed, and the time of the
// second is the invocation's own.
void Fleet::fail_start(const FunctionOptions& function, const InstanceEnd& end,
                       const Invocation& invocation, LedgerEntry record, Caller& caller) {
  Completion completion;
  completion.failure = end.failure(invocation.request_id);
  Report report;
  report.request_id = invocation.request_id;
  report.trace_id = invocation.trace_id;
  report.duration = std::min<std::chrono::nanoseconds>(record.waited, function.timeout);
  report.memory_mb = function.memory_mb;
  report.error_type = completion.failure->type;
  for (const PlatformEvent& event : {start_event(report), failure_event(*completion.failure),
                                     end_event(report), report_event(report)}) {
    const bool json = options_.log_format == LogFormat::kJson;
    if (json ? event.type.empty() : event.text.empty()) continue;
    const std::string line =
        json ? event_json(clock_.wall_now(), event.type, event.record) : event.text;
    log_(cat("[", function.name, "] ", line));
    completion.log_tail += line + '\n';
  }
  record.cold = true;
  record.ending = ending_of(completion.failure);
  record.error_type = report.error_type;
  record.duration = report.duration;
  record.waited -= report.duration;
  record.billed_ms = report.billed_ms();
  ledger_.add(record);
  caller.finish(completion);
}

Fleet::Driven Fleet::drive(const FunctionOptions& function, const warmpool::Lease& lease,
                           const std::shared_ptr<Invocation>& invocation, Caller& caller,
                           LedgerEntry& record) {
  auto& instance = static_cast<Instance&>(*lease.instance);
  AnswerPipe& answer = invocation->answer;
  const Dealt dealt = deal(faults_);
  Passage passage(dealt, caller, clock_, [this] { return stopping_.load(); });
  // A second attempt at the start was made in this invocation's time.
  const auto again = lease.first_use ? instance.init_again_time() : 0ns;
  const Clock::Monotonic begun = clock_.now() - again;
  const Clock::Wall begun_wall =
      clock_.wall_now() - std::chrono::duration_cast<Clock::Wall::duration>(again);
  const Clock::Monotonic deadline = begun + function.timeout;
  Report report;
  report.request_id = invocation->request_id;
  report.trace_id = invocation->trace_id;
  report.memory_mb = function.memory_mb;
  instance.begin_tail();
  instance.tell(start_event(report));
  invocation->deadline =
      begun_wall + std::chrono::duration_cast<Clock::Wall::duration>(function.timeout);
  instance.give(invocation);

  Driven driven;
  bool in_time = answer.wait_begin(deadline);
  report.latency = clock_.now() - begun;
  if (const auto head = answer.head()) {
    report.timing = head->timing;
    passage.begin(*head);
  }
  while (in_time && driven.fit) {
    const auto part = answer.next(deadline);
    in_time = part.has_value();
    if (!in_time || part->empty()) break;
    driven.fit = passage.part(*part);
  }
  std::optional<Failure>& failure = driven.completion.failure;
  failure = answer.failure();
  if (!in_time) {
    failure = time_out(function, instance, *invocation);
    driven.fit = function.pool.invocations_per_instance > 1;
  } else if (!driven.fit) {  // killed on purpose
    answer.abandon();
    instance.reset("failure");
    failure = platform_failure("Runtime.ExitError", invocation->request_id,
                               "Runtime exited with error: signal: killed");
  }
  report.duration = (in_time ? answer.ended_at().value_or(clock_.now()) : clock_.now()) - begun;
  report.latency = std::min(report.latency, report.duration);  // who waits wakes up a little later
  const bool waits = driven.fit && in_time;
  driven.idle = waits && instance.wait_idle(invocation->request_id,
                                            std::min(deadline, clock_.now() + kReturnWait));
  report.produced_bytes = passage.bytes();
  report.peak_bytes = instance.peak_bytes();
  if (failure) {
    report.error_type = instance.out_of_memory() ? "Runtime.OutOfMemory" : failure->type;
    instance.tell(failure_event(*failure));
  }
  settle(lease, begun_wall, report, record);
  record.ending = dealt.lost ? Ending::kLost : ending_of(failure);
  if (dealt.lost) driven.completion.kind = Completion::Kind::kLost;
  driven.completion.log_tail = instance.take_tail();
  return driven;
}

// What has become of it, for the log and for the ledger.
void Fleet::settle(const warmpool::Lease& lease, Clock::Wall begun, Report& report,
                   LedgerEntry& record) {
  auto& instance = static_cast<Instance&>(*lease.instance);
  const auto again = lease.first_use ? instance.init_again_time() : 0ns;
  if (lease.first_use && instance.restore_time() > 0ns) {
    report.restore = instance.restore_time();
  } else if (lease.first_use && !lease.provisioned && again == 0ns) {
    report.init = instance.init_time();
  }
  instance.tell(runtime_done_event(report, begun));
  instance.tell(end_event(report));
  instance.tell(report_event(report));
  record.cold = lease.first_use && !lease.provisioned;
  record.restored = report.restore.has_value();
  record.init = report.init.value_or(report.restore.value_or(again));
  record.waited -= again;
  record.latency = report.latency;
  record.duration = report.duration;
  record.billed_ms = report.billed_ms();
  record.peak_mb = report.peak_mb();
  record.answer_bytes = report.produced_bytes;
  record.error_type = report.error_type;
  record.timing = report.timing;
}

Failure Fleet::time_out(const FunctionOptions& function, Instance& instance,
                        Invocation& invocation) {
  invocation.answer.abandon();
  if (function.pool.invocations_per_instance == 1) instance.reset("timeout");
  const std::string text = cat("Task timed out after ", seconds_text(function.timeout), " seconds");
  Failure failure = platform_failure("Sandbox.Timedout", invocation.request_id, text);
  failure.line = cat(iso_time(clock_.wall_now()), " ", invocation.request_id, " ", text);
  return failure;
}

}  // namespace thaw::emulator
