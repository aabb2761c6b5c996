#include "kernels/quantise_fit.h"

#include <algorithm>
#include <cmath>

#include "kernels/float16.h"

namespace thaw::kernels {
namespace {

// Candidates divide the range by the number of levels plus these: what is cut off at the ends is
// paid back by finer steps in the middle.
constexpr double kStretches[] = {-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0};
constexpr int kRefinements = 2;  // levels, then least squares over them, then levels again

// The least-squares scale for the levels that `scale` gives.
double refit_scale(Values values, double scale, double low, double high) {
  const double inverse = 1.0 / scale;
  double vu = 0;
  double uu = 0;
  for (const double v : values) {
    const double u = level_of(v * inverse, low, high);
    vu += v * u;
    uu += u * u;
  }
  return uu > 0 ? vu / uu : scale;
}

// The same with a minimum.
void refit_both(Values values, double high, bool negative, Fit& fit) {
  const double inverse = 1.0 / fit.scale;
  double v_sum = 0;
  double u_sum = 0;
  double vu = 0;
  double uu = 0;
  for (const double v : values) {
    const double u = level_of((v - fit.minimum) * inverse, 0, high);
    v_sum += v;
    u_sum += u;
    vu += v * u;
    uu += u * u;
  }
  const auto n = static_cast<double>(values.size());
  const double determinant = n * uu - u_sum * u_sum;
  if (determinant <= 0) return;  // all on one level: nothing to learn
  double scale = (n * vu - v_sum * u_sum) / determinant;
  double minimum = (v_sum - scale * u_sum) / n;
  if (negative && minimum > 0) {
    minimum = 0;
    scale = vu / uu;
  }
  if (scale <= 0) return;
  fit.scale = scale;
  fit.minimum = minimum;
}

}  // namespace

std::uint16_t finite_f16(double v) {
  return f32_to_f16(static_cast<float>(std::clamp<double>(v, -kF16Max, kF16Max)));
}

double f16_value(std::uint16_t half) { return f16_to_f32(half); }

double error_of(Values values, double scale, double minimum, double low, double high) {
  double error = 0;
  if (scale == 0) {
    for (const double v : values) error += (v - minimum) * (v - minimum);
    return error;
  }
  const double inverse = 1.0 / scale;
  for (const double v : values) {
    const double u = level_of((v - minimum) * inverse, low, high);
    const double difference = v - (scale * u + minimum);
    error += difference * difference;
  }
  return error;
}

Fit fit_scale(Values values, double low, double high) {
  double extreme = 0;
  for (const double v : values) {
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  }
  Fit best = {0, 0, error_of(values, 0, 0, low, high)};
  if (extreme == 0) return best;
  for (const double end : {low, high}) {
    for (const double stretch : kStretches) {
      double scale = extreme / (end < 0 ? end - stretch : end + stretch);
      for (int i = 0; i < kRefinements; ++i) scale = refit_scale(values, scale, low, high);
      if (scale == 0) continue;
      const double error = error_of(values, scale, 0, low, high);
      if (error < best.error) best = {scale, 0, error};
    }
  }
  return best;
}

Fit fit_scale_and_minimum(Values values, double high, bool negative) {
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  const double bottom = negative ? std::min(*least, 0.0) : *least;
  const double range = *greatest - bottom;
  Fit best = {0, bottom, error_of(values, 0, bottom, 0, high)};
  if (!(range > 0)) return best;
  for (const double stretch : kStretches) {
    const double step = range / (high + stretch);
    // What the stretch cuts off is shared by both ends.
    Fit fit = {step, bottom + (range - high * step) / 2, 0};
    if (negative && fit.minimum > 0) fit.minimum = 0;
    for (int i = 0; i < kRefinements; ++i) refit_both(values, high, negative, fit);
    fit.error = error_of(values, fit.scale, fit.minimum, 0, high);
    if (fit.error < best.error) best = fit;
  }
  return best;
}

}  // namespace thaw::kernels
