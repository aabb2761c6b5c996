// Least-squares searches over one group of values, shared by the quantised kinds of quantise.cc and
// quantise_k.cc. In float64 throughout, so that no finite f32 overflows or vanishes on the way.
#pragma once

#include <cstdint>
#include <span>

namespace thaw::kernels {

using Values = std::span<const double>;  // 16, 32 or 256 of them

// v rounded half to even and clamped to [low, high], which are small.
inline double level_of(double v, double low, double high) {
  v = v > low ? v : low;  // NaN becomes a level too
  v = v < high ? v : high;
  return (v + 0x1.8p52) - 0x1.8p52;
}

// The f16 nearest to v, finite.
std::uint16_t finite_f16(double v);
// The same for the unit of sub-scales, which must not vanish while v > 0: they choose 0 themselves.
std::uint16_t unit_f16(double v);
double f16_value(std::uint16_t half);

// The sum of squared differences between `values` and scale * u + minimum, each u the best whole
// number in [low, high].
double error_of(Values values, double scale, double minimum, double low, double high);

struct Fit {
  double scale = 0;
  double minimum = 0;
  double error = 0;  // sum of squared differences, less the sum of the values' squares
};

// Looks for scale * u, u in [low, high], either sign of the scale; no minimum.
Fit fit_scale(Values values, double low, double high);

// Looks for scale * u + minimum, u in [0, high], scale >= 0; minimum <= 0 where `negative`.
Fit fit_scale_and_minimum(Values values, double high, bool negative);

}  // namespace thaw::kernels
