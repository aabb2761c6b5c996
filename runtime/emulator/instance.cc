#include "runtime/emulator/instance.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

// Out of the page cache, as on a machine that has never seen the file. Pages that a process has
// mapped stay, so that only the first start of several finds none.
void evict_pages(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fdatasync(file);  // pages that are to be written stay, too
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

}  // namespace

Failure InstanceEnd::failure(std::string_view request_id) const {
  return said.empty() ? platform_failure(type, request_id, message) : Failure{type, said};
}

Instance::Instance(InstanceOptions options, InstanceEvents events, Clock& clock, LogSink log)
    : options_(std::move(options)),
      events_(std::move(events)),
      clock_(clock),
      log_(std::move(log)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this] { run(); });
}

Instance::~Instance() {
  thread_.join();
  api_.reset();
  if (wake_ >= 0) ::close(wake_);
}

void Instance::stop() {
  stop_ = true;
  wake();
}

void Instance::kill() {
  kill_ = true;
  wake();
}

void Instance::reset(std::string_view reason) {
  {
    const std::lock_guard lock(mutex_);
    stop_reason_ = reason;
  }
  stop();
}

void Instance::pause() {
  paused_ = true;
  busy_ = held_ = false;
  signal_all(&Process::pause);
  telemetry_->pause(true);
}

void Instance::resume() {
  telemetry_->pause(false);
  signal_all(&Process::resume);
  paused_ = false;
  wake();
}

void Instance::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void Instance::signal_all(void (Process::*what)()) {
  const std::lock_guard lock(mutex_);
  for (const Child& child : children_) (child.process.get()->*what)();
}

void Instance::kill_runtime() {
  const std::lock_guard lock(mutex_);
  for (const Child& child : children_) {
    if (child.name.empty()) child.process->kill();
  }
}

void Instance::hold(bool holds) {
  if (holds == held_ || (holds && (!busy_ || paused_))) return;
  held_ = holds;
  signal_all(holds ? &Process::pause : &Process::resume);
}

std::string_view Instance::state_name() const {
  if (stop_ || kill_) return "ending";
  if (init_ != Init::kReady) return "init";
  if (held_) return "held";
  if (paused_) return "frozen";
  return busy_ ? "running" : "idle";
}

void Instance::give(std::shared_ptr<Invocation> invocation) {
  busy_ = true;
  extensions_->invoke(*invocation);
  api_->give(std::move(invocation));
}

bool Instance::wait_idle(std::string_view request_id, Clock::Monotonic until) {
  if (!api_->wait_free(request_id, until) || !extensions_->wait_done(until)) return false;
  busy_ = false;
  return true;
}

pid_t Instance::pid() const {
  const std::lock_guard lock(mutex_);
  for (const Child& child : children_) {
    if (child.name.empty()) return child.process->pid();
  }
  return 0;
}

std::uint64_t Instance::peak_bytes() const {
  if (out_of_memory_) return options_.memory_bytes_max;
  std::uint64_t peak = peak_bytes_;
  const std::lock_guard lock(mutex_);
  for (const Child& child : children_) {
    if (child.name.empty()) peak = std::max(peak, child.process->peak_bytes());
  }
  return peak;
}

void Instance::run() {
  std::optional<InstanceEnd> end = live(InitPhase::kInit, options_.init_max);
  const bool failed_start = init_ != Init::kReady && !stop_ && !kill_;
  if (failed_start) {
    const std::string type = end ? end->type : "timeout";
    tell(init_report(options_.init_type, InitPhase::kInit, SteadyClock::now() - started_, type));
  }
  const bool launched =
      !end || (end->type != "Runtime.InvalidEntrypoint" && end->type != "Extension.LaunchError");
  if (failed_start && launched && options_.init_again_max > 0ms) {
    api_.reset();  // first, lest a late word from the old process make the new one look ready
    init_ = Init::kStarting;
    end = live(InitPhase::kInvoke, options_.init_again_max);
    if (init_ != Init::kReady && !stop_ && !kill_) {
      const std::string type = end ? end->type : "timeout";
      tell(
          init_report(options_.init_type, InitPhase::kInvoke, SteadyClock::now() - started_, type));
    }
  }
  if (!end) {
    const auto time = std::max(options_.init_again_max, std::chrono::milliseconds(0));
    end = {"Sandbox.Timedout",
           cat("Task timed out after ", seconds_text(time > 0ms ? time : options_.init_max),
               " seconds"),
           ""};
  }
  events_.gone(*end);
}

std::optional<InstanceEnd> Instance::live(InitPhase phase, std::chrono::milliseconds init_max) {
  if (!options_.evict.empty()) evict_pages(options_.evict);
  started_ = SteadyClock::now();
  runtime_ready_ = parked_ = false;
  const auto told = [this](const PlatformEvent& event) { tell(event); };
  ExtensionsOptions extensions{
      options_.function, options_.handler, {}, options_.seed, options_.concurrency == 1};
  for (const std::string& path : options_.extensions) {
    extensions.external.push_back(path.substr(path.rfind('/') + 1));
  }
  extensions_ = std::make_unique<Extensions>(std::move(extensions), told, [this, phase] {
    check_ready(phase);
    wake();
  });
  telemetry_ = std::make_unique<Telemetry>(clock_);
  RuntimeApiEvents events;
  events.ready = [this, phase] {
    tell(options_.init_type == kSnapStart ? restore_runtime_done("")
                                          : init_runtime_done(options_.init_type, phase, ""));
    runtime_ready_ = true;
    check_ready(phase);
  };
  events.parked = [this] {
    parked_ = true;
    wake();
  };
  auto api = RuntimeApi::start({options_.concurrency, options_.init_type == kSnapStart},
                               std::move(events), *extensions_, *telemetry_, told);
  if (!api) return InstanceEnd{"Sandbox.Failure", api.error().message, ""};
  api_ = std::move(*api);
  tell(init_start(options_.init_type, phase));
  Attempt attempt;
  attempt.phase = phase;
  attempt.init_limit = started_ + init_max;
  attempt.end = start_processes(attempt);
  if (attempt.end) attempt.kill_at = started_;
  watch(attempt);
  const bool too_slow = init_ == Init::kGivenUp;
  // From here on nobody becomes ready any more; who just did has told so first.
  if (Init starting = Init::kStarting;
      !init_.compare_exchange_strong(starting, Init::kGivenUp) && starting == Init::kReady) {
    told_ready_.wait(false);
  }
  // The runtime's own end, or that of extensions before there was one, has been told; this is for
  // what was given to an instance that never had a runtime.
  const InstanceEnd end = attempt.end.value_or(
      InstanceEnd{"Runtime.ExitError", "Runtime exited without providing a reason", ""});
  api_->end([&](std::string_view id) { return end.failure(id); });
  if (const auto said = api_->init_failure()) return InstanceEnd{said->type, "", said->document};
  if (too_slow) return std::nullopt;
  return end;
}

// The extensions first: the runtime follows when all of them have registered.
std::optional<InstanceEnd> Instance::start_processes(Attempt& attempt) {
  for (const std::string& path : options_.extensions) {
    ProcessOptions extension = options_.process;
    extension.program = path;
    extension.environment.push_back(cat("AWS_LAMBDA_RUNTIME_API=", api_->authority()));
    auto process = Process::start(extension);
    if (!process) return InstanceEnd{"Extension.LaunchError", process.error().message, ""};
    const std::lock_guard lock(mutex_);
    children_.push_back({std::move(*process), path.substr(path.rfind('/') + 1), {}, false});
  }
  if (options_.extensions.empty()) return start_runtime(attempt);
  return std::nullopt;
}

std::optional<InstanceEnd> Instance::start_runtime(Attempt& attempt) {
  attempt.runtime_started = true;
  ProcessOptions options = options_.process;
  options.environment.push_back(cat("AWS_LAMBDA_RUNTIME_API=", api_->authority()));
  const std::chrono::nanoseconds now = SteadyClock::now().time_since_epoch();
  options.environment.push_back(cat("THAW_STARTED_NS=", now.count()));
  auto process = Process::start(options);
  if (!process) return InstanceEnd{"Runtime.InvalidEntrypoint", process.error().message, ""};
  const std::lock_guard lock(mutex_);
  if (options_.sabotage == InstanceOptions::Sabotage::kCrash) (*process)->kill();
  if (options_.sabotage == InstanceOptions::Sabotage::kHang) (*process)->pause();
  children_.push_back({std::move(*process), {}, {}, false});
  return std::nullopt;
}

// Init is over when the runtime and every extension wait for their first event.
void Instance::check_ready(InitPhase phase) {
  if (!runtime_ready_ || !extensions_->ready()) return;
  Init expected = Init::kStarting;
  const auto now = SteadyClock::now();
  {
    const std::lock_guard lock(mutex_);  // who is second finds the times written
    if (init_ != Init::kStarting) return;
    if (options_.init_type == kSnapStart) {
      restore_time_ = now - restored_at_;
    } else if (phase == InitPhase::kInvoke) {
      init_again_time_ = now - started_;
    } else {
      init_time_ = now - started_;
    }
    if (!init_.compare_exchange_strong(expected, Init::kReady)) return;
  }
  tell(options_.init_type == kSnapStart
           ? restore_report(restore_time_, "")
           : init_report(options_.init_type, phase, now - started_, ""));
  telemetry_->close();
  events_.ready();
  told_ready_ = true;
  told_ready_.notify_all();
}

void Instance::read_output(Child& child) {
  std::array<char, 16 << 10> buffer;
  while (true) {
    const ssize_t got = ::read(child.process->output(), buffer.data(), buffer.size());
    child.silent = child.silent || got == 0;
    if (got <= 0) return;
    take_output(child, {buffer.data(), static_cast<std::size_t>(got)}, false);
  }
}

// This and the two above: with mutex_ held.
void Instance::take_output(Child& child, std::string_view bytes, bool ended) {
  const bool publishes = telemetry_->wanted();
  const auto flush = [&] {
    emit(child.line);
    if (tail_on_ && child.name.empty()) tail_ += child.line + '\n';
    if (publishes) {
      const bool runtime = child.name.empty();
      telemetry_->publish(runtime ? Telemetry::Source::kFunction : Telemetry::Source::kExtension,
                          runtime ? "function" : "extension", json_string(child.line));
    }
    child.line.clear();
  };
  for (const char c : bytes) {
    if (c != '\n') child.line.push_back(c);
    if (c == '\n' || child.line.size() >= kLineBytes) flush();
  }
  if (ended && !child.line.empty()) flush();
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

void Instance::emit(std::string_view line) { log_(cat("[", options_.function, "] ", line)); }

void Instance::begin_tail() {
  const std::lock_guard lock(mutex_);
  tail_on_ = true;
  tail_.clear();
}

void Instance::tell(const PlatformEvent& event) {
  if (!event.type.empty() && telemetry_ && telemetry_->wanted()) {
    telemetry_->publish(Telemetry::Source::kPlatform, event.type, event.record);
  }
  if (options_.log_format == LogFormat::kText) {
    for (std::string_view text = event.text; !text.empty();) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      log_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  } else if (!event.type.empty() && !event.detail) {
    log_line(event_json(clock_.wall_now(), event.type, event.record));
  }
}

void Instance::log_line(std::string_view line) {
  const std::lock_guard lock(mutex_);
  for (Child& child : children_) read_output(child);  // what was written before comes before
  emit(line);
  if (tail_on_) tail_ += cat(line, "\n");
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::string Instance::take_tail() {
  const std::lock_guard lock(mutex_);
  tail_on_ = false;
  return std::exchange(tail_, {});
}

}  // namespace thaw::emulator
