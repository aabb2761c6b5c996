#include "runtime/emulator/instance.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kStopGrace = 500ms;       // from SIGTERM to SIGKILL, as with an internal extension
constexpr auto kDrainMax = 1000ms;       // for what a process sent before it ended
constexpr auto kInitErrorGrace = 500ms;  // from /init/error to the exit that should follow
constexpr auto kWatchSlice = 100ms;      // how late a limit is noticed at most
constexpr auto kBlindSlice = 10ms;       // the same where the kernel has no pidfd

InstanceEnd end_of(const Exit& exit) {
  const bool silent = exit.signal == 0 && exit.code == 0;
  return {"Runtime.ExitError",
          silent ? std::string("Runtime exited without providing a reason")
                 : cat("Runtime exited with error: ", exit.text()),
          ""};
}

}  // namespace

Failure InstanceEnd::failure(std::string_view request_id) const {
  return said.empty() ? platform_failure(type, request_id, message) : Failure{type, said};
}

Instance::Instance(InstanceOptions options, InstanceEvents events, LogSink log)
    : options_(std::move(options)),
      events_(std::move(events)),
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

void Instance::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void Instance::give(std::shared_ptr<Invocation> invocation) { api_->give(std::move(invocation)); }
bool Instance::wait_idle(Clock::Monotonic until) { return api_->wait_idle(until); }

std::uint64_t Instance::peak_bytes() const {
  const std::lock_guard lock(output_mutex_);
  return process_ ? process_->peak_bytes() : 0;
}

void Instance::run() {
  std::optional<InstanceEnd> end = live(options_.init_max);
  if (!end && !stop_ && !kill_) {
    emit(cat("INIT_REPORT Init Duration: ", options_.init_max.count(),
             " ms\tPhase: init\tStatus: timeout"));
    api_.reset();  // first, lest a late word from the old process make the new one look ready
    init_ = Init::kStarting;
    end = live(options_.init_again_max);
  }
  if (!end) {
    end = {"Sandbox.Timedout",
           cat("Task timed out after ", seconds_text(options_.init_again_max), " seconds"), ""};
  }
  events_.gone(*end);
}

std::optional<InstanceEnd> Instance::live(std::chrono::milliseconds init_max) {
  started_ = SteadyClock::now();
  auto api = RuntimeApi::start([this] {
    init_time_ = SteadyClock::now() - started_;
    Init expected = Init::kStarting;
    if (init_.compare_exchange_strong(expected, Init::kReady)) events_.ready();
  });
  if (!api) return InstanceEnd{"Sandbox.Failure", api.error().message, ""};
  api_ = std::move(*api);
  ProcessOptions options = options_.process;
  options.environment.push_back(cat("AWS_LAMBDA_RUNTIME_API=", api_->authority()));
  const std::chrono::nanoseconds now = SteadyClock::now().time_since_epoch();
  options.environment.push_back(cat("THAW_STARTED_NS=", now.count()));
  auto process = Process::start(options);
  if (!process) {
    return InstanceEnd{"Runtime.InvalidEntrypoint", process.error().message, ""};
  }
  {
    const std::lock_guard lock(output_mutex_);
    process_ = std::move(*process);
  }
  watch(started_ + init_max);

  std::unique_ptr<Process> ended;
  {
    const std::lock_guard lock(output_mutex_);
    take_output("", true);
    ended = std::move(process_);
  }
  api_->drain(kDrainMax);
  const InstanceEnd end = end_of(*ended->exited());
  api_->end([&](std::string_view id) { return end.failure(id); });
  if (const auto said = api_->init_failure()) return InstanceEnd{said->type, "", said->document};
  if (init_ == Init::kGivenUp) return std::nullopt;
  return end;
}

// Until the process has been reaped and its output read.
void Instance::watch(SteadyClock::time_point init_limit) {
  std::optional<SteadyClock::time_point> kill_at;
  const auto end_within = [&](SteadyClock::duration grace) {
    const auto when = SteadyClock::now() + grace;
    if (!kill_at || when < *kill_at) kill_at = when;
  };
  bool terminated = false;
  while (true) {
    const auto now = SteadyClock::now();
    if (kill_) process_->kill();
    if (stop_ && !std::exchange(terminated, true)) {
      process_->terminate();
      end_within(kStopGrace);
    }
    if (!kill_at && api_->init_failure()) end_within(kInitErrorGrace);
    if (init_ == Init::kStarting && now >= init_limit) {
      Init expected = Init::kStarting;
      if (init_.compare_exchange_strong(expected, Init::kGivenUp)) end_within(0ms);
    }
    if (kill_at && now >= *kill_at) process_->kill();

    const bool ended = process_->exited().has_value();
    read_output();  // after the look at exited(), so that the last words are not missed
    if (ended) return;
    std::array<pollfd, 3> waits{
        {{wake_, POLLIN, 0}, {process_->output(), POLLIN, 0}, {process_->ended(), POLLIN, 0}}};
    const auto slice = process_->ended() < 0 ? kBlindSlice : kWatchSlice;
    ::poll(waits.data(), waits.size(), static_cast<int>(slice / 1ms));
    if ((waits[1].revents & POLLHUP) != 0 && (waits[1].revents & POLLIN) == 0) {
      // It closed its output and lives on: do not spin on that.
      std::array<pollfd, 2> others{{waits[0], waits[2]}};
      ::poll(others.data(), others.size(), static_cast<int>(kBlindSlice / 1ms));
    }
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_, &count, sizeof count);
  }
}

void Instance::read_output() {
  const std::lock_guard lock(output_mutex_);
  if (!process_) return;
  std::array<char, 16 << 10> buffer;
  while (true) {
    const ssize_t got = ::read(process_->output(), buffer.data(), buffer.size());
    if (got <= 0) return;
    take_output({buffer.data(), static_cast<std::size_t>(got)}, false);
  }
}

// With output_mutex_ held.
void Instance::take_output(std::string_view bytes, bool ended) {
  const auto flush = [&] {
    log_(cat("[", options_.function, "] ", line_));
    if (tail_on_) tail_ += line_ + '\n';
    line_.clear();
  };
  for (const char c : bytes) {
    if (c != '\n') line_.push_back(c);
    if (c == '\n' || line_.size() >= kLineBytes) flush();
  }
  if (ended && !line_.empty()) flush();
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

void Instance::emit(std::string_view line) { log_(cat("[", options_.function, "] ", line)); }

void Instance::begin_tail() {
  const std::lock_guard lock(output_mutex_);
  tail_on_ = true;
  tail_.clear();
}

void Instance::log_line(std::string_view line) {
  read_output();  // what the process wrote before comes before
  const std::lock_guard lock(output_mutex_);
  emit(line);
  if (tail_on_) tail_ += cat(line, "\n");
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::string Instance::take_tail() {
  const std::lock_guard lock(output_mutex_);
  tail_on_ = false;
  return std::exchange(tail_, {});
}

}  // namespace thaw::emulator
