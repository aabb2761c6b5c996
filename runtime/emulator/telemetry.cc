#include "runtime/emulator/telemetry.h"

#include <algorithm>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/str.h"
#include "runtime/http/client.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kSendMax = 2s;                                   // for one batch to be taken
constexpr auto kRetryWait = 100ms;                              // after one that was not
constexpr std::string_view kLocalName = "sandbox.localdomain";  // AWS's name for the instance

// The number at `key` of `of`, between both limits.
Result<std::size_t> number_at(const Json& of, const char* key, std::size_t otherwise,
                              std::size_t min, std::size_t max) {
  if (!of.contains(key)) return otherwise;
  const Json& value = of[key];
  if (!value.is_number_unsigned() || value.get<std::size_t>() < min ||
      value.get<std::size_t>() > max) {
    return fail(Code::kInvalid, cat("telemetry: buffering.", key, ": ", value.dump(), ", wanted ",
                                    min, " to ", max));
  }
  return value.get<std::size_t>();
}

}  // namespace

std::vector<std::string> Subscription::types() const {
  std::vector<std::string> names;
  if (platform) names.emplace_back("platform");
  if (function) names.emplace_back("function");
  if (extension) names.emplace_back("extension");
  return names;
}

Result<Subscription> parse_subscription(std::string_view body) {
  const Json asked = Json::parse(body, nullptr, false);
  const auto invalid = [](std::string_view what) {
    return fail(Code::kInvalid, cat("telemetry: ", what));
  };
  if (!asked.is_object()) return invalid("the body is no JSON object");
  const Json version = asked.value("schemaVersion", Json());
  if (version != "2022-07-01" && version != "2022-12-13" && version != "2025-01-29") {
    return invalid("schemaVersion: wanted 2022-07-01, 2022-12-13 or 2025-01-29");
  }
  Subscription out;
  const Json types = asked.value("types", Json());
  if (!types.is_array() || types.empty()) return invalid("types: wanted a list");
  for (const Json& type : types) {
    if (type == "platform") {
      out.platform = true;
    } else if (type == "function") {
      out.function = true;
    } else if (type == "extension") {
      out.extension = true;
    } else {
      return invalid("types: wanted platform, function, extension");
    }
  }
  const Json to = asked.value("destination", Json::object());
  if (!to.is_object() || to.value("protocol", Json()) != "HTTP" ||
      !to.value("URI", Json()).is_string()) {
    return invalid("destination: this emulator sends to protocol HTTP with a URI");
  }
  std::string uri = to["URI"].get<std::string>();
  constexpr std::string_view kScheme = "http://";
  if (!uri.starts_with(kScheme)) return invalid("destination.URI: wanted http://");
  uri.erase(0, kScheme.size());
  const std::size_t slash = uri.find('/');
  out.authority = uri.substr(0, slash);
  out.target = slash == uri.npos ? "/" : uri.substr(slash);
  if (out.authority.starts_with(kLocalName)) {
    out.authority.replace(0, kLocalName.size(), "127.0.0.1");
  }
  THAW_TRY_DO(http::Client::create(out.authority));
  const Json buffering = asked.value("buffering", Json::object());
  if (!buffering.is_object()) return invalid("buffering: wanted an object");
  THAW_TRY(items, number_at(buffering, "maxItems", out.items_max, 1000, 10'000));
  THAW_TRY(bytes, number_at(buffering, "maxBytes", out.bytes_max, 262'144, 1'048'576));
  THAW_TRY(wait, number_at(buffering, "timeoutMs", 1000, 25, 30'000));
  out.items_max = items;
  out.bytes_max = bytes;
  out.wait_max = std::chrono::milliseconds(wait);
  return out;
}

// A thread that sends batches, each when it is full or has waited long enough.
class Telemetry::Subscriber {
 public:
  Subscriber(Clock& clock, const Subscription& asked, std::unique_ptr<http::Client> client)
      : clock_(clock), asked_(asked), client_(std::move(client)), thread_([this] { run(); }) {}

  ~Subscriber() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    client_->interrupt();
    thread_.join();
  }

  bool wants(Source source) const {
    return source == Source::kPlatform   ? asked_.platform
           : source == Source::kFunction ? asked_.function
                                         : asked_.extension;
  }

  void add(std::string json) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) since_ = clock_.now();
    bytes_ += json.size();
    waiting_.push_back(std::move(json));
    while (bytes_ > kWaitingBytesMax) {
      bytes_ -= waiting_.front().size();
      dropped_bytes_ += waiting_.front().size();
      ++dropped_;
      waiting_.pop_front();
    }
    changed_.notify_all();
  }

  void pause(bool paused) {
    const std::lock_guard lock(mutex_);
    paused_ = paused;
    changed_.notify_all();
  }

  void flush(Clock::Monotonic until) {
    std::unique_lock lock(mutex_);
    flushing_ = true;
    changed_.notify_all();
    changed_.wait_until(lock, until, [&] { return waiting_.empty() && !sending_; });
    flushing_ = false;
  }

 private:
  bool full() const { return waiting_.size() >= asked_.items_max || bytes_ >= asked_.bytes_max; }

  // With the lock held. At least one item, however long.
  std::string take_batch() {
    std::string batch = "[";
    if (dropped_ > 0) {
      batch += event_json(clock_.wall_now(), "platform.logsDropped",
                          logs_dropped(dropped_, dropped_bytes_).record);
      dropped_ = dropped_bytes_ = 0;
    }
    for (std::size_t items = 0; !waiting_.empty() && items < asked_.items_max; ++items) {
      if (items > 0 && batch.size() + waiting_.front().size() + 2 > asked_.bytes_max) break;
      if (batch.size() > 1) batch += ',';
      batch += waiting_.front();
      bytes_ -= waiting_.front().size();
      waiting_.pop_front();
    }
    since_ = clock_.now();
    return batch + "]";
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || (!waiting_.empty() && !paused_); });
      if (ending_) return;
      const auto due = since_ + asked_.wait_max;
      if (!full() && !flushing_ && clock_.now() < due) {
        changed_.wait_until(lock, due, [&] { return ending_ || full() || flushing_ || paused_; });
        continue;
      }
      const std::string batch = take_batch();
      sending_ = true;
      lock.unlock();
      const bool sent = send(batch);
      lock.lock();
      sending_ = false;
      if (!sent) changed_.wait_for(lock, kRetryWait, [&] { return ending_; });
      changed_.notify_all();
    }
  }

  bool send(const std::string& batch) {
    http::Call call;
    call.method = "POST";
    call.target = asked_.target;
    call.headers.add("Content-Type", "application/json");
    call.body = batch;
    call.deadline = clock_.now() + kSendMax;
    return client_->request(call).operator bool();
  }

  Clock& clock_;
  const Subscription asked_;
  const std::unique_ptr<http::Client> client_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<std::string> waiting_;
  std::size_t bytes_ = 0;
  std::size_t dropped_ = 0, dropped_bytes_ = 0;
  Clock::Monotonic since_{};
  bool paused_ = false, flushing_ = false, sending_ = false, ending_ = false;
  std::thread thread_;
};

Telemetry::Telemetry(Clock& clock) : clock_(clock) {}
Telemetry::~Telemetry() = default;

void Telemetry::publish(Source source, std::string_view type, std::string_view record) {
  const std::lock_guard lock(mutex_);
  if (closed_ && subscribers_.empty()) return;
  std::string json = event_json(clock_.wall_now(), type, record);
  for (const auto& subscriber : subscribers_) {
    if (subscriber->wants(source)) subscriber->add(json);
  }
  if (closed_) return;
  history_bytes_ += json.size();
  history_.push_back({source, std::move(json)});
  while (history_.size() > kHistoryItemsMax || history_bytes_ > kHistoryBytesMax) {
    history_bytes_ -= history_.front().json.size();
    history_.pop_front();
  }
}

Result<Done> Telemetry::subscribe(std::string_view name, const Subscription& subscription) {
  THAW_TRY(client, http::Client::create(subscription.authority));
  std::unique_ptr<Subscriber> made;
  try {
    made = std::make_unique<Subscriber>(clock_, subscription, std::move(client));
  } catch (const std::system_error& error) {
    return fail(Code::kIo, cat("telemetry: no thread for '", name, "': ", error.what()));
  }
  const std::lock_guard lock(mutex_);
  if (subscribers_.size() >= kSubscribersMax) {
    return fail(Code::kLimit, cat("telemetry: '", name, "': ", kSubscribersMax,
                                  " subscriptions there already, the limit"));
  }
  for (const Item& item : history_) {
    if (made->wants(item.source)) made->add(item.json);
  }
  subscribers_.push_back(std::move(made));
  return Done{};
}

void Telemetry::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  history_.clear();
  history_bytes_ = 0;
}

bool Telemetry::wanted() const {
  const std::lock_guard lock(mutex_);
  return !closed_ || !subscribers_.empty();
}

void Telemetry::pause(bool paused) {
  const std::lock_guard lock(mutex_);
  for (const auto& subscriber : subscribers_) subscriber->pause(paused);
}

void Telemetry::flush(Clock::Monotonic until) {
  const std::lock_guard lock(mutex_);
  for (const auto& subscriber : subscribers_) subscriber->flush(until);
}

}  // namespace thaw::emulator
