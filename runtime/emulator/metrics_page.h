// What the emulator has done and what it has, as Prometheus reads it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/fleet.h"
#include "runtime/emulator/ledger.h"

namespace thaw::emulator {

// Where it is served. It comes before the function URL of an only function, whose own path of that
// name stays reachable as /url/NAME/_thaw/metrics.
inline constexpr std::string_view kMetricsPath = "/_thaw/metrics";

// The text format 0.0.4.
std::string metrics_page(const std::map<std::string, Totals>& totals,
                         const std::vector<FunctionState>& states);

}  // namespace thaw::emulator
