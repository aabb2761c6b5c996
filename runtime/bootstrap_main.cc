// `bootstrap`: opens one snapshot and answers a platform's events until it is told to end. The only
// place of this program that reads or writes its environment; runtime/bootstrap does the rest.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/bus_guard.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/bootstrap/loops.h"
#include "runtime/bootstrap/settings.h"

int main() {
  using namespace thaw;
  const Clock::Monotonic entered = system_clock().now();
  bootstrap::Environment environment;
  environment.get = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  environment.set = [](const char* name, const std::string& value) {
    if (value.empty()) {
      unsetenv(name);
    } else {
      setenv(name, value.c_str(), 1);
    }
  };
  auto settings = bootstrap::read_settings(environment);
  if (!settings) {
    std::fprintf(stderr, "bootstrap: %s\n", settings.error().message.c_str());
    return bootstrap::kWrongUsage;
  }
  settings->function.entered = entered;
  set_up_log(settings->log_level, settings->log_format);
  install_bus_guard();
  return bootstrap::run(*settings, environment);
}
