#include "runtime/emulator/async_queue.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/callers.h"
#include "runtime/emulator/environment.h"
#include "runtime/http/client.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// AWS's: a minute before the second attempt of what failed, two before the third; what was
// throttled or could not run begins at a second, doubled up to five minutes.
constexpr std::chrono::seconds kRetryWaits[] = {60s, 120s};
constexpr auto kThrottleWait = 1s;
constexpr auto kThrottleWaitMax = 300s;
constexpr auto kDeliveryWait = 1s;
constexpr auto kUrlTimeMax = 10s;
constexpr std::size_t kUrlAnswerBytesMax = 64 << 10;

}  // namespace

Result<std::unique_ptr<AsyncQueue>> AsyncQueue::open(Fleet& fleet, AsyncSettings& settings,
                                                     const Options& options, Clock& clock,
                                                     Files& files, StateFiles& state_files,
                                                     LogSink log) {
  THAW_TRY(opened, EventLog::open(options.state_directory, files, state_files));
  std::unique_ptr<AsyncQueue> queue(
      new AsyncQueue(fleet, settings, options, clock, state_files, log));
  queue->log_ = std::move(opened.log);
  for (const std::string& note : opened.notes) log(note);
  std::map<std::string, std::size_t> strangers;
  std::size_t found = 0;
  const Clock::Wall now = clock.wall_now();
  for (LiveEvent& event : opened.events) {
    if (fleet.find(event.event->function) == nullptr) {
      ++strangers[event.event->function];
      continue;
    }
    ++found;
    // A clock that was set back must not hold events for ever.
    const auto wait =
        std::clamp<std::chrono::nanoseconds>(event.progress.due - now, 0ns, kThrottleWaitMax);
    queue->enqueue({std::move(event)}, clock.now() + wait);
  }
  if (found != 0) log(cat("asynchronous events: ", found, " left from before are run"));
  for (const auto& [name, count] : strangers) {
    log(cat("asynchronous events: ", count, " for '", name,
            "', a function that is not here, are kept until it is"));
  }
  for (std::size_t i = 0; i < kWorkers; ++i) {
    queue->workers_.emplace_back([raw = queue.get()] { raw->work_off(); });
  }
  return queue;
}

AsyncQueue::AsyncQueue(Fleet& fleet, AsyncSettings& settings, const Options& options, Clock& clock,
                       StateFiles& state_files, LogSink log)
    : fleet_(fleet),
      settings_(settings),
      options_(options),
      clock_(clock),
      state_files_(state_files),
      say_(std::move(log)),
      ids_((std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()) {}

AsyncQueue::~AsyncQueue() {
  stop_taking();
  for (std::thread& worker : workers_) worker.join();
  if (const std::size_t left = log_->size(); left != 0) {
    say_(cat("stop: ", left, " asynchronous event", left == 1 ? " is" : "s are", " kept in '",
             options_.state_directory, "' for the next start"));
  }
}

void AsyncQueue::stop_taking() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  changed_.notify_all();
}

Result<Done> AsyncQueue::accept(AcceptedEvent event) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return fail(Code::kUnavailable, "accept an event: the emulator stops");
  }
  event.accepted = clock_.wall_now();
  THAW_TRY(live, log_->accept(std::move(event)));
  const std::lock_guard lock(mutex_);
  enqueue({std::move(live)}, clock_.now());
  return Done{};
}

void AsyncQueue::enqueue(Work work, Clock::Monotonic due) {
  lines_[work.event.event->function].waiting.emplace(due, std::move(work));
  changed_.notify_all();
}

Clock::Monotonic AsyncQueue::after(std::chrono::nanoseconds time) const {
  const double scaled = static_cast<double>(time.count()) * options_.retry_scale;
  return clock_.now() + std::chrono::nanoseconds(static_cast<std::int64_t>(scaled));
}

bool AsyncQueue::pause_for(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_until(lock, after(time), [&] { return ending_; });
}

void AsyncQueue::work_off() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const Clock::Monotonic now = clock_.now();
    Line* first = nullptr;
    const std::size_t cap = lines_.size() > 1 ? kWorkersOfOneFunction : kWorkers;
    for (auto& [name, line] : lines_) {
      if (line.waiting.empty() || line.running >= cap) continue;
      if (first == nullptr || line.waiting.begin()->first < first->waiting.begin()->first) {
        first = &line;
      }
    }
    if (first == nullptr) {
      changed_.wait(lock);
      continue;
    }
    if (const auto due = first->waiting.begin()->first; due > now) {
      changed_.wait_until(lock, due);
      continue;
    }
    Work work = std::move(first->waiting.begin()->second);
    first->waiting.erase(first->waiting.begin());
    ++first->running;
    lock.unlock();
    Clock::Monotonic due = now;
    const std::uint64_t sequence = work.event.sequence;
    const Ending ending = run(work, due);
    if (ending == Ending::kEnded) {
      if (const auto noted = log_->note_end(sequence); !noted) {
        say_(cat(noted.error().message, "; the event may run once more"));
      }
    }
    lock.lock();
    --first->running;
    if (ending == Ending::kAgain) {
      enqueue(std::move(work), due);
    } else {
      changed_.notify_all();
    }
  }
}

AsyncQueue::Ending AsyncQueue::run(Work& work, Clock::Monotonic& due) {
  const AcceptedEvent& event = *work.event.event;
  const EventInvokeConfig config = settings_.in_force(event.function, event.qualifier);
  if (clock_.wall_now() - event.accepted > *config.age_max) {
    return end(work, config, "EventAgeExceeded", std::nullopt);
  }
  if (fleet_.reserved_concurrency(event.function) == 0u) {
    return end(work, config, "ZeroReservedConcurrency", std::nullopt);
  }
  auto invocation = std::make_shared<Invocation>();
  invocation->request_id = event.request_id;
  invocation->invocation_id = ids_.request_id();
  invocation->function_arn = function_arn(options_, event.function);
  invocation->trace_id = event.trace_id;
  invocation->client_context = event.client_context;
  invocation->event = event.event;
  BufferedCaller caller(event.request_id);
  fleet_.invoke(event.function, invocation, caller);
  const Completion& completion = caller.completion();
  {
    const std::lock_guard lock(mutex_);
    // What a stopping emulator kills has not failed.
    if (ending_ && (completion.kind != Completion::Kind::kDone || completion.failure)) {
      return Ending::kStopped;
    }
  }
  if (completion.kind != Completion::Kind::kDone) {
    const auto wait = std::min<std::chrono::nanoseconds>(
        kThrottleWait * (1 << std::min(work.throttles, 9u)), kThrottleWaitMax);
    ++work.throttles;
    due = after(wait);
    return Ending::kAgain;
  }
  work.throttles = 0;
  if (completion.failure) return failed(work, config, completion, due);
  return end(work, config, "Success", caller.body());
}

AsyncQueue::Ending AsyncQueue::failed(Work& work, const EventInvokeConfig& config,
                                      const Completion& completion, Clock::Monotonic& due) {
  EventProgress& progress = work.event.progress;
  ++progress.attempts;
  if (progress.attempts > *config.retries_max) {
    return end(work, config, "RetriesExhausted", completion.failure->document);
  }
  const std::size_t last = std::size(kRetryWaits) - 1;
  due = after(kRetryWaits[std::min<std::size_t>(progress.attempts - 1, last)]);
  progress.due =
      clock_.wall_now() + std::chrono::duration_cast<Clock::Wall::duration>(due - clock_.now());
  if (const auto noted = log_->note_attempt(work.event.sequence, progress); !noted) {
    say_(noted.error().message);
  }
  return Ending::kAgain;
}

// Whoever is to hear of the end does, before it is noted.
AsyncQueue::Ending AsyncQueue::end(const Work& work, const EventInvokeConfig& config,
                                   std::string_view condition,
                                   std::optional<std::string> response) {
  const AcceptedEvent& event = *work.event.event;
  const bool success = condition == "Success";
  InvocationRecord record;
  record.time = clock_.wall_now();
  record.request_id = event.request_id;
  record.function_arn = cat(function_arn(options_, event.function), ":",
                            event.qualifier.empty() ? "$LATEST" : event.qualifier);
  record.condition = condition;
  record.invoke_count = work.event.progress.attempts + (success ? 1 : 0);
  record.request = event.event;
  record.response = std::move(response);
  record.failed = !success;
  const FunctionOptions& function = *fleet_.find(event.function);
  const std::string& destination = success ? config.on_success : config.on_failure;
  if (!success) {
    say_(cat("[", function.name, "] asynchronous invocation ", event.request_id, ": ", condition,
             " after ", record.invoke_count, " attempts"));
  }
  if (!destination.empty() && !deliver(destination, record, false)) return Ending::kStopped;
  if (!success && !function.dead_letter.empty() && !deliver(function.dead_letter, record, true)) {
    return Ending::kStopped;
  }
  return Ending::kEnded;
}

// False: the emulator stops before it was done.
bool AsyncQueue::deliver(const std::string& text, const InvocationRecord& record,
                         bool dead_letter) {
  const auto destination = parse_destination(text);
  const std::string document =
      dead_letter ? dead_letter_document(record) : destination_document(record);
  Result<Done> done = destination ? Result<Done>(Done{}) : Result<Done>(destination.error());
  for (int attempt = 1; destination && attempt <= kDeliveriesMax; ++attempt) {
    done = deliver_once(*destination, document, record);
    if (done) return true;
    if (attempt < kDeliveriesMax && !pause_for(kDeliveryWait * attempt)) return false;
  }
  say_(cat("asynchronous invocation ", record.request_id, ": its record is dropped after ",
           kDeliveriesMax, " attempts: ", done.error().message));
  return true;
}

Result<Done> AsyncQueue::deliver_once(const Destination& destination, const std::string& document,
                                      const InvocationRecord& record) {
  if (destination.kind == Destination::Kind::kFunction) {
    if (fleet_.find(destination.target) == nullptr) {
      return fail(Code::kNotFound, cat("destination '", destination.target, "': no such function"));
    }
    AcceptedEvent event;
    event.function = destination.target;
    event.request_id = ids_.request_id();
    event.trace_id = ids_.trace_id(record.time);
    event.event = document;
    return accept(std::move(event));
  }
  if (destination.kind == Destination::Kind::kFile) {
    const bool absolute = destination.target.starts_with('/');
    return append_line(
        absolute ? destination.target : cat(options_.state_directory, "/", destination.target),
        document);
  }
  std::string_view rest = std::string_view(destination.target).substr(7);
  const std::size_t slash = rest.find('/');
  THAW_TRY(client, http::Client::create(rest.substr(0, slash)));
  http::Call call;
  call.method = "POST";
  call.target = slash == rest.npos ? "/" : rest.substr(slash);
  call.headers.add("Content-Type", "application/json");
  call.body = document;
  call.deadline = clock_.now() + kUrlTimeMax;
  call.body_bytes_max = kUrlAnswerBytesMax;
  THAW_TRY(answer, client->request(call));
  if (answer.status >= 200 && answer.status < 300) return Done{};
  return fail(Code::kUnavailable,
              cat("destination '", destination.target, "': status ", answer.status));
}

Result<Done> AsyncQueue::append_line(const std::string& path, const std::string& line) {
  const std::lock_guard lock(file_mutex_);
  if (const std::size_t slash = path.rfind('/'); slash != path.npos && slash != 0) {
    THAW_TRY_DO(state_files_.make_directory(path.substr(0, slash)));
  }
  THAW_TRY(file, state_files_.append_to(path));
  const std::uint64_t before = file->size();
  Result<Done> done = file->append(as_bytes(line + "\n"));
  if (done) done = file->sync();
  if (!done) (void)file->truncate(before);  // half a line would spoil the next one
  return done;
}

}  // namespace thaw::emulator
