// The command line of `thaw`: words in, exit code out.
#pragma once

#include <span>
#include <string>

#include "runtime/cli/commands.h"

namespace thaw::cli {

// Parses `arguments` (without the program's name) and runs the command they name.
// Returns the exit code: 0 done, 1 failed (one line on context.err), 2 wrong usage.
int main(std::span<const std::string> arguments, Context context);

}  // namespace thaw::cli
