#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/float16.h"
#include "kernels/pack.h"
#include "kernels/pack_planes.h"
#include "kernels/quantise_fit.h"
#include "kernels/quantise_k.h"

namespace thaw::kernels {
namespace {

constexpr float kBf16Max = 0x1.fep127f;

// The f16 nearest to `wanted`, or a neighbour of it, whichever codes `values` best.
std::uint16_t best_f16(Values values, double wanted, double low, double high) {
  const std::uint16_t nearest = finite_f16(wanted);
  std::uint16_t best = nearest;
  double least = error_of(values, f16_value(best), 0, low, high);
  for (const int step : {1, -1}) {
    const auto near = static_cast<std::uint16_t>(nearest + step);
    if ((near & 0x7c00u) == 0x7c00u || ((near ^ nearest) & 0x8000u) != 0) continue;
    const double error = error_of(values, f16_value(near), 0, low, high);
    if (error < least) {
      least = error;
      best = near;
    }
  }
  return best;
}

BlockPlanes quantise_q8(Values values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::fabs(v));
  BlockPlanes planes;
  planes.d = best_f16(values, largest / 127, -127, 127);
  const double d = f16_value(planes.d);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double u = d == 0 ? 0 : level_of(values[k] / d, -127, 127);
    planes.v[k] = static_cast<std::uint8_t>(static_cast<std::int8_t>(u));
  }
  return planes;
}

BlockPlanes quantise_q4(Values values) {
  BlockPlanes planes;
  planes.d = best_f16(values, fit_scale(values, -8, 7).scale, -8, 7);
  const double d = f16_value(planes.d);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double u = d == 0 ? 0 : level_of(values[k] / d, -8, 7);
    planes.v[k] = static_cast<std::uint8_t>(u + 8);
  }
  return planes;
}

// The best f16 minimum for a given scale, from the levels that `minimum` gives.
std::uint16_t best_minimum(Values values, double d, double minimum) {
  for (int i = 0; i < 2; ++i) {
    double rest = 0;
    for (const double v : values) rest += v - (d == 0 ? 0 : d * level_of((v - minimum) / d, 0, 15));
    minimum = f16_value(finite_f16(rest / static_cast<double>(values.size())));
  }
  return finite_f16(minimum);
}

BlockPlanes quantise_q4m(Values values) {
  const Fit fit = fit_scale_and_minimum(values, 15, false);
  const std::uint16_t nearest = finite_f16(fit.scale);
  BlockPlanes planes;
  double least = -1;
  for (const int step : {0, 1, -1}) {
    const auto d = static_cast<std::uint16_t>(nearest + step);
    if (d >= 0x7c00u) continue;  // infinite, or below zero
    for (const std::uint16_t m :
         {finite_f16(fit.minimum), best_minimum(values, f16_value(d), fit.minimum)}) {
      const double error = error_of(values, f16_value(d), f16_value(m), 0, 15);
      if (least >= 0 && error >= least) continue;
      least = error;
      planes.d = d;
      planes.m = m;
    }
  }
  const double d = f16_value(planes.d);
  const double m = f16_value(planes.m);
  for (std::size_t k = 0; k < values.size(); ++k) {
    planes.v[k] = static_cast<std::uint8_t>(d == 0 ? 0 : level_of((values[k] - m) / d, 0, 15));
  }
  return planes;
}

BlockPlanes quantise_block(Kind kind, Values values) {
  switch (kind) {
    case Kind::kQ8: return quantise_q8(values);
    case Kind::kQ4: return quantise_q4(values);
    case Kind::kQ4m: return quantise_q4m(values);
    case Kind::kQ4k: return quantise_with_sub_minimum(values, 15);
    case Kind::kQ5k: return quantise_with_sub_minimum(values, 31);
    default: return quantise_q6k(values);
  }
}

void put_float(Kind kind, float value, std::byte* to) {
  switch (kind) {
    case Kind::kF16: store(to, f32_to_f16_clamped(value)); break;
    case Kind::kBf16: store(to, f32_to_bf16(std::clamp(value, -kBf16Max, kBf16Max))); break;
    default: store(to, value); break;
  }
}

}  // namespace

void quantise_row(Kind kind, std::span<const float> from, std::span<std::byte> row) {
  const KindInfo& facts = info(kind);
  const std::size_t cols = facts.block_cols;
  THAW_CHECK(from.size() % cols == 0);
  THAW_CHECK(row.size() == from.size() / cols * facts.row_block_bytes);
  double values[kBlockColsMax];
  for (std::size_t b = 0; b < from.size() / cols; ++b) {
    std::byte* to = row.data() + b * facts.row_block_bytes;
    if (facts.is_float) {
      put_float(kind, from[b], to);
      continue;
    }
    std::copy_n(from.begin() + b * cols, cols, values);
    write_row_block(kind, quantise_block(kind, {values, cols}), to);
  }
}

}  // namespace thaw::kernels
