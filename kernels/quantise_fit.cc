#include "kernels/quantise_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/float16.h"

namespace thaw::kernels {
namespace {

// Candidates divide the range by the number of levels plus these: what is cut off at the ends is
// paid back by finer steps in the middle.
constexpr double kStretches[] = {-0.6, 0.0, 0.6, 1.2, 2.0};
constexpr int kRefinements = 2;    // levels, then least squares over them, then levels again
constexpr std::size_t kLanes = 4;  // partial sums, so that additions need not wait for each other

double total(const double (&sums)[kLanes]) { return (sums[0] + sums[2]) + (sums[1] + sums[3]); }

// Sums over values v and their levels u. Groups are multiples of kLanes long.
struct Moments {
  double u = 0;
  double uu = 0;
  double vu = 0;
};

Moments moments(Values values, double scale, double minimum, double low, double high) {
  const double inverse = 1.0 / scale;
  double u_sum[kLanes] = {};
  double uu_sum[kLanes] = {};
  double vu_sum[kLanes] = {};
  for (std::size_t k = 0; k < values.size(); k += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const double v = values[k + j];
      const double u = level_of((v - minimum) * inverse, low, high);
      u_sum[j] += u;
      uu_sum[j] += u * u;
      vu_sum[j] += v * u;
    }
  }
  return {total(u_sum), total(uu_sum), total(vu_sum)};
}

// Least squares for values ~ scale * u + minimum over the levels that `fit` gives; `error` is what
// it leaves, less the sum of the values' squares, which is the same for every candidate.
void refit_both(Values values, double v_sum, double high, bool negative, Fit& fit) {
  const Moments sums = moments(values, fit.scale, fit.minimum, 0, high);
  const auto n = static_cast<double>(values.size());
  const double determinant = n * sums.uu - sums.u * sums.u;
  if (determinant > 0) {  // else all are on one level, and the scale is as good as any
    const double scale = (n * sums.vu - v_sum * sums.u) / determinant;
    const double minimum = (v_sum - scale * sums.u) / n;
    if (negative && minimum > 0) {
      fit.scale = sums.vu / sums.uu;
      fit.minimum = 0;
    } else if (scale > 0) {
      fit.scale = scale;
      fit.minimum = minimum;
    }
  }
  const double a = fit.scale;
  const double b = fit.minimum;
  fit.error = a * (a * sums.uu + 2 * b * sums.u - 2 * sums.vu) + b * (n * b - 2 * v_sum);
}

}  // namespace

std::uint16_t finite_f16(double v) {
  return f32_to_f16(static_cast<float>(std::clamp<double>(v, -kF16Max, kF16Max)));
}

std::uint16_t unit_f16(double v) {
  const std::uint16_t nearest = finite_f16(v);
  return nearest == 0 && v > 0 ? 1 : nearest;
}

double f16_value(std::uint16_t half) { return f16_to_f32(half); }

double error_of(Values values, double scale, double minimum, double low, double high) {
  const double inverse = scale == 0 ? 0 : 1.0 / scale;
  double sums[kLanes] = {};
  for (std::size_t k = 0; k < values.size(); k += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const double v = values[k + j] - minimum;
      const double difference = v - scale * level_of(v * inverse, low, high);
      sums[j] += difference * difference;
    }
  }
  return total(sums);
}

Fit fit_scale(Values values, double low, double high) {
  double extreme = 0;
  for (const double v : values) {
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  }
  Fit best;
  for (const double end : {low, high}) {
    for (const double stretch : kStretches) {
      if (extreme == 0) break;
      Fit fit = {extreme / (end < 0 ? end - stretch : end + stretch), 0, 0};
      for (int i = 0; i < kRefinements; ++i) {
        const Moments sums = moments(values, fit.scale, 0, low, high);
        if (!(sums.uu > 0) || sums.vu == 0) break;
        fit = {sums.vu / sums.uu, 0, -sums.vu * (sums.vu / sums.uu)};
      }
      if (fit.error < best.error) best = fit;
    }
  }
  return best;
}

Fit fit_scale_and_minimum(Values values, double high, bool negative) {
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  const double bottom = negative ? std::min(*least, 0.0) : *least;
  const double range = *greatest - bottom;
  Fit best = {0, bottom, 0};
  if (!(range > 0)) return best;
  double v_sum = 0;
  for (const double v : values) v_sum += v;
  best.error = std::numeric_limits<double>::infinity();
  for (const double stretch : kStretches) {
    const double step = range / (high + stretch);
    // What the stretch cuts off is shared by both ends.
    Fit fit = {step, bottom + (range - high * step) / 2, 0};
    if (negative && fit.minimum > 0) fit.minimum = 0;
    for (int i = 0; i < kRefinements; ++i) refit_both(values, v_sum, high, negative, fit);
    if (fit.error < best.error) best = fit;
  }
  return best;
}

}  // namespace thaw::kernels
