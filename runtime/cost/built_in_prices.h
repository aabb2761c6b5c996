// prices.csv as text; its definition is written at build time (see CMakeLists.txt).
#pragma once

#include <string_view>

namespace thaw::cost {

extern const std::string_view kBuiltInPrices;

}  // namespace thaw::cost
