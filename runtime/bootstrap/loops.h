// The loops of `bootstrap`, one for each platform: opens the function and answers until it is told
// to end. Each gives what the process exits with.
#pragma once

#include <memory>

#include "base/result.h"
#include "handler/function.h"
#include "runtime/bootstrap/settings.h"
#include "runtime/web/run.h"

namespace thaw::bootstrap {

inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

// The one that the platform wants; no platform: kWrongUsage, and a line on stderr.
int run(const Settings& settings, const Environment& environment);

int run_lambda(const Settings& settings, const Environment& environment);
int run_fc(const Settings& settings);
int run_web(const Settings& settings);

// What every loop on a port is told.
web::RunOptions web_options(const Settings& settings);

// The snapshot that the settings name, opened; says before the first token what would else show as
// slowness, or as an end without a word.
Result<std::unique_ptr<handler::Function>> open_function(const Settings& settings);

}  // namespace thaw::bootstrap
