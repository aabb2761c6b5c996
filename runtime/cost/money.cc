#include "runtime/cost/money.h"

#include <cstdio>

namespace thaw::cost {

std::string Money::text() const {
  const double amount = dollars();
  const double size = std::fabs(amount);
  int digits = 2;
  if (size > 0 && size < 0.1) {
    digits = 2 - static_cast<int>(std::floor(std::log10(size)));
    if (digits > 9) digits = 9;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%s$%.*f", amount < 0 ? "-" : "", digits, size);
  return text;
}

}  // namespace thaw::cost
