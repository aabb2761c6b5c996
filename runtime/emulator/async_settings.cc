#include "runtime/emulator/async_settings.h"

#include "base/str.h"
#include "runtime/emulator/destination.h"

namespace thaw::emulator {

Result<Done> check(const EventInvokeConfig& config) {
  if (config.retries_max && *config.retries_max > EventInvokeConfig::kRetriesMax) {
    return fail(Code::kInvalid,
                cat("1 validation error detected: Value '", *config.retries_max,
                    "' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have "
                    "value less than or equal to ",
                    EventInvokeConfig::kRetriesMax));
  }
  if (config.age_max && (*config.age_max < EventInvokeConfig::kAgeMin ||
                         *config.age_max > EventInvokeConfig::kAgeMax)) {
    return fail(
        Code::kInvalid,
        cat("1 validation error detected: Value '", config.age_max->count(),
            "' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must "
            "have value from ",
            EventInvokeConfig::kAgeMin.count(), " to ", EventInvokeConfig::kAgeMax.count()));
  }
  for (const std::string& destination : {config.on_success, config.on_failure}) {
    if (destination.empty()) continue;
    THAW_TRY_DO(parse_destination(destination));
  }
  return Done{};
}

AsyncSettings::Key AsyncSettings::key(std::string_view function, std::string_view qualifier) {
  return {std::string(function), std::string(qualifier.empty() ? "$LATEST" : qualifier)};
}

std::optional<EventInvokeConfig> AsyncSettings::find(std::string_view function,
                                                     std::string_view qualifier) const {
  const std::lock_guard lock(mutex_);
  const auto at = configs_.find(key(function, qualifier));
  if (at == configs_.end()) return std::nullopt;
  return at->second;
}

EventInvokeConfig AsyncSettings::in_force(std::string_view function,
                                          std::string_view qualifier) const {
  auto config = find(function, qualifier).value_or(EventInvokeConfig{});
  if (!config.retries_max) config.retries_max = EventInvokeConfig::kRetriesMax;
  if (!config.age_max) config.age_max = EventInvokeConfig::kAgeMax;
  return config;
}

void AsyncSettings::set(std::string_view function, std::string_view qualifier,
                        EventInvokeConfig config) {
  const std::lock_guard lock(mutex_);
  configs_[key(function, qualifier)] = std::move(config);
}

bool AsyncSettings::remove(std::string_view function, std::string_view qualifier) {
  const std::lock_guard lock(mutex_);
  return configs_.erase(key(function, qualifier)) != 0;
}

std::vector<std::pair<std::string, EventInvokeConfig>> AsyncSettings::all(
    std::string_view function) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, EventInvokeConfig>> found;
  for (const auto& [name, config] : configs_) {
    if (name.first == function) found.emplace_back(name.second, config);
  }
  return found;
}

}  // namespace thaw::emulator
