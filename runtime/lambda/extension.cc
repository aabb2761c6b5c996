#include "runtime/lambda/extension.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kName = "thaw-sigterm";
// A wait that broke is begun again, as after a restore from a memory snapshot, which no connection
// survives; this often in a row.
constexpr int kFailuresMax = 10;
constexpr milliseconds kRetryWait{100};

}  // namespace

struct Extension::State {
  enum class Answer : unsigned char { kNone, kRegistered, kRefused };

  std::unique_ptr<Transport> transport;
  Clock& clock;
  std::mutex mutex;
  std::condition_variable changed;
  Answer answer = Answer::kNone;  // guarded by mutex
  bool ending = false;            // guarded by mutex
  std::thread thread;

  explicit State(Clock& its_clock) : clock(its_clock) {}

  // The identifier, or nothing where the platform has no use for us.
  std::string register_us() {
    http::Call call;
    call.method = "POST";
    call.target = kRegisterPath;
    call.headers.add(kExtensionNameHeader, kName);
    call.headers.add("Content-Type", "application/json");
    call.body = R"({"events":[]})";
    const auto answered = transport->request(call);
    if (!answered) {
      log_debug(cat("register an extension: ", answered.error().message));
      return {};
    }
    if (answered->status != 200) {
      log_debug(cat("register an extension: the platform answered ", answered->status));
      return {};
    }
    return std::string(answered->headers.get(kExtensionIdHeader).value_or(""));
  }

  // Nothing is subscribed to, so that this ends with the process or not at all.
  void wait_for_events(const std::string& id) {
    http::Call call;
    call.target = kExtensionNextPath;
    call.headers.add(kExtensionIdHeader, id);
    for (int failures = 0; failures < kFailuresMax;) {
      const auto answered = transport->request(call);
      if (is_ending()) return;
      if (answered && answered->status == 200) {
        failures = 0;
        continue;
      }
      if (answered) {
        log_debug(cat("wait for the extension's events: the platform answered ", answered->status));
        return;
      }
      ++failures;
      clock.sleep_until(clock.now() + kRetryWait);
    }
  }

  bool is_ending() {
    const std::lock_guard lock(mutex);
    return ending;
  }

  void run() {
    const std::string id = register_us();
    {
      const std::lock_guard lock(mutex);
      answer = id.empty() ? Answer::kRefused : Answer::kRegistered;
    }
    changed.notify_all();
    if (!id.empty()) wait_for_events(id);
  }
};

Extension::Extension(std::unique_ptr<State> state) : state_(std::move(state)) {}

std::unique_ptr<Extension> Extension::start(const Connect& connect, Clock& clock) {
  auto state = std::make_unique<State>(clock);
  if (auto transport = connect()) {
    state->transport = std::move(*transport);
    state->thread = std::thread([raw = state.get()] { raw->run(); });
  } else {
    state->answer = State::Answer::kRefused;
  }
  return std::unique_ptr<Extension>(new Extension(std::move(state)));
}

Extension::~Extension() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  if (!state_->thread.joinable()) return;
  state_->transport->interrupt();
  state_->thread.join();
}

bool Extension::wait_registered(std::chrono::milliseconds time_max) {
  std::unique_lock lock(state_->mutex);
  const bool told = state_->changed.wait_for(
      lock, time_max, [this] { return state_->answer != State::Answer::kNone; });
  if (!told) {
    // Later it would be refused: the first /next ends the time for it.
    log_warn(cat("register an extension: no answer in ", time_max.count(),
                 " ms; going on without SIGTERM"));
    if (state_->transport) state_->transport->interrupt();
  }
  return state_->answer == State::Answer::kRegistered;
}

}  // namespace thaw::lambda
