// One line of CloudWatch's embedded metric format for each invocation: numbers that the platform
// turns into metrics, printed where it reads logs. Counts and times only, never text.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "runtime/lambda/loop.h"

namespace thaw::lambda {

inline constexpr std::string_view kMetricsNamespace = "thaw";

// What tells one function's metrics from another's: the dimension and two properties.
struct MetricsLabels {
  std::string function_name;
  std::string function_version;
  std::string model_name;
};

// With its newline, and short enough (4 KB) that a pipe takes it whole. `cold`: the instance's
// first invocation. Phases that have not been are left out.
std::string metrics_line(const MetricsLabels& labels, const Invoked& invoked, bool cold,
                         Clock::Wall now);

}  // namespace thaw::lambda
