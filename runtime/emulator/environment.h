// The environment that Lambda gives a function's processes, and nothing of the emulator's own.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "runtime/emulator/options.h"
#include "runtime/emulator/process.h"

namespace thaw::emulator {

// How to start a process of `function`. `init_type`: AWS_LAMBDA_INITIALIZATION_TYPE. `instance`
// tells its log stream from others'.
ProcessOptions process_options(const Options& options, const FunctionOptions& function,
                               std::string_view init_type, Clock::Wall now, std::uint64_t instance);

// arn:aws:lambda:REGION:123456789012:function:NAME
std::string function_arn(const Options& options, std::string_view name);

}  // namespace thaw::emulator
