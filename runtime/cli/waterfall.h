// The phases of a start and its first token as bars, one below the other, for a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "handler/generator.h"

namespace thaw::cli {

// A line for each phase up to the first token, its bar where it happened, `columns` wide from the
// start's origin (or the generation's beginning, where the start is not told) to the first token.
std::string waterfall(const handler::Generation& done, std::size_t columns);

}  // namespace thaw::cli
