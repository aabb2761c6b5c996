// How asynchronous invocations of each function are retried, and who hears of their ends: AWS's
// event-invoke-config, and the dead-letter queue.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace thaw::emulator {

struct EventInvokeConfig {
  static constexpr std::uint32_t kRetriesMax = 2;  // AWS's limits
  static constexpr std::chrono::seconds kAgeMin{60};
  static constexpr std::chrono::seconds kAgeMax{6 * 3600};

  std::optional<std::uint32_t> retries_max;     // absent: 2
  std::optional<std::chrono::seconds> age_max;  // absent: 6 hours
  std::string on_success, on_failure;           // destinations as destination.h reads them
  Clock::Wall modified{};
};

// Errors: kInvalid, in AWS's words where it has any.
Result<Done> check(const EventInvokeConfig& config);

// Thread-safe.
class AsyncSettings {
 public:
  // Of "chat" and a qualifier; "$LATEST" where there is none.
  std::optional<EventInvokeConfig> find(std::string_view function,
                                        std::string_view qualifier) const;
  // What counts for an invocation: the defaults where nothing is set.
  EventInvokeConfig in_force(std::string_view function, std::string_view qualifier) const;
  void set(std::string_view function, std::string_view qualifier, EventInvokeConfig config);
  bool remove(std::string_view function, std::string_view qualifier);  // false: nothing was set
  // Qualifiers with their configurations.
  std::vector<std::pair<std::string, EventInvokeConfig>> all(std::string_view function) const;

 private:
  using Key = std::pair<std::string, std::string>;
  static Key key(std::string_view function, std::string_view qualifier);
  mutable std::mutex mutex_;
  std::map<Key, EventInvokeConfig> configs_;  // guarded by mutex_
};

}  // namespace thaw::emulator
