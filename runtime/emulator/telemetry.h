// The Telemetry API (2022-07-01) of one instance: what the platform, the function and its
// extensions say, sent in batches to the extensions that asked for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/emulator/platform_events.h"

namespace thaw::emulator {

inline constexpr std::string_view kTelemetryPath = "/2022-07-01/telemetry";

// What a subscription asks for, checked.
struct Subscription {
  bool platform = false, function = false, extension = false;
  std::string authority;  // where to: host:port, numeric
  std::string target;     // "/"
  std::size_t items_max = 10'000;
  std::size_t bytes_max = 256 << 10;
  std::chrono::milliseconds wait_max{1000};

  std::vector<std::string> types() const;
};

// Errors: kInvalid, in words for the extension's author.
Result<Subscription> parse_subscription(std::string_view body);

// Thread-safe.
class Telemetry {
 public:
  // What is kept for subscribers that are still to come, until close().
  static constexpr std::size_t kHistoryItemsMax = 1000;
  static constexpr std::size_t kHistoryBytesMax = 256 << 10;
  // What waits for a subscriber that does not take it; older ones are dropped, and it is told.
  static constexpr std::size_t kWaitingBytesMax = 4 << 20;

  explicit Telemetry(Clock& clock);
  // Waits for what is being sent.
  ~Telemetry();

  enum class Source : unsigned char { kPlatform, kFunction, kExtension };
  // `record` is JSON.
  void publish(Source source, std::string_view type, std::string_view record);
  static constexpr std::size_t kSubscribersMax = 10;
  // Errors: kLimit (more than that), kIo (no thread for it).
  Result<Done> subscribe(std::string_view name, const Subscription& subscription);
  // Init is over: who subscribes from now on hears only what is to come.
  void close();
  bool wanted() const;  // somebody has subscribed, or may still
  // While an instance is paused nobody takes anything.
  void pause(bool paused);
  // Sends what waits, and returns when it is sent or `until` has passed.
  void flush(Clock::Monotonic until);

 private:
  struct Item {
    Source source;
    std::string json;
  };
  class Subscriber;

  Clock& clock_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  std::deque<Item> history_;
  std::size_t history_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace thaw::emulator
