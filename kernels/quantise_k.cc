#include "kernels/quantise_k.h"

#include <algorithm>
#include <cmath>

namespace thaw::kernels {
namespace {

constexpr int kPasses = 3;  // sub-scales for the super-scales, super-scales for the sub-scales, ...
constexpr std::size_t kGroups = 8;
constexpr std::size_t kHalves = 16;

Values group_of(Values values, std::size_t g) { return values.subspan(32 * g, 32); }
Values half_of(Values values, std::size_t h) { return values.subspan(16 * h, 16); }

// A super-block with sub-scales and sub-minima: the weight is d * sc * u - dmin * mn.
struct Coded {
  std::uint16_t d = 0;
  std::uint16_t dmin = 0;
  std::uint8_t sc[kGroups] = {};
  std::uint8_t mn[kGroups] = {};
  double error = 0;
};

// The nearest whole multiple of `unit` to v, within [low, high]; 0 where the unit is 0.
double multiple_of(double v, double unit, double low, double high) {
  return unit == 0 ? 0 : level_of(v / unit, low, high);
}

// Chooses sc and mn of each group for the d and dmin of `coded`: the nearest to what the group
// wants, and their neighbours. A minimum's best neighbour depends on the scale, so all pairs.
void choose_subs(Values values, const Fit (&wanted)[kGroups], double high, Coded& coded) {
  const double d = f16_value(coded.d);
  const double dmin = f16_value(coded.dmin);
  coded.error = 0;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const double sc = multiple_of(wanted[g].scale, d, 0, 63);
    const double mn = multiple_of(-wanted[g].minimum, dmin, 0, 63);
    double best = -1;
    for (double s = std::max(sc - 1, 0.0); s <= std::min(sc + 1, 63.0); ++s) {
      for (double m = std::max(mn - 1, 0.0); m <= std::min(mn + 1, 63.0); ++m) {
        const double error = error_of(group_of(values, g), d * s, -(dmin * m), 0, high);
        if (best >= 0 && error >= best) continue;
        best = error;
        coded.sc[g] = static_cast<std::uint8_t>(s);
        coded.mn[g] = static_cast<std::uint8_t>(m);
      }
    }
    coded.error += best;
  }
}

// The least-squares d and dmin for the levels and subs of `coded`.
void refit_super(Values values, double high, Coded& coded) {
  const double d = f16_value(coded.d);
  const double dmin = f16_value(coded.dmin);
  double aa = 0, ab = 0, bb = 0, av = 0, bv = 0;  // a = sc * u, b = mn
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double sc = coded.sc[k / 32];
    const double b = coded.mn[k / 32];
    const double step = d * sc;
    const double u = step == 0 ? 0 : level_of((values[k] + dmin * b) / step, 0, high);
    const double a = sc * u;
    aa += a * a;
    ab += a * b;
    bb += b * b;
    av += a * values[k];
    bv += b * values[k];
  }
  // values ~ d * a - dmin * b
  const double determinant = aa * bb - ab * ab;
  if (determinant > 0) {
    const double better_d = (av * bb - bv * ab) / determinant;
    const double better_dmin = (av * ab - bv * aa) / determinant;
    if (better_d > 0 && better_dmin > 0) {
      coded.d = unit_f16(better_d);
      coded.dmin = unit_f16(better_dmin);
    }
  } else if (bb == 0 && aa > 0 && av > 0) {
    coded.d = unit_f16(av / aa);
  }
}

void put_levels(Values values, const Coded& coded, double high, BlockPlanes& planes) {
  const double d = f16_value(coded.d);
  const double dmin = f16_value(coded.dmin);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double step = d * coded.sc[k / 32];
    const double above = values[k] + dmin * coded.mn[k / 32];
    planes.v[k] = static_cast<std::uint8_t>(step == 0 ? 0 : level_of(above / step, 0, high));
  }
}

// A super-block whose sub-scales have signs: the weight is d * sc * u, u in -32..31.
struct CodedSigned {
  std::uint16_t d = 0;
  std::int8_t sc[kHalves] = {};
  double error = 0;
};

void choose_signed_subs(Values values, const Fit (&wanted)[kHalves], CodedSigned& coded) {
  const double d = f16_value(coded.d);
  coded.error = 0;
  for (std::size_t h = 0; h < kHalves; ++h) {
    const double sc = multiple_of(wanted[h].scale, d, -128, 127);
    double best = -1;
    for (double s = std::max(sc - 1, -128.0); s <= std::min(sc + 1, 127.0); ++s) {
      const double error = error_of(half_of(values, h), d * s, 0, -32, 31);
      if (best >= 0 && error >= best) continue;
      best = error;
      coded.sc[h] = static_cast<std::int8_t>(s);
    }
    coded.error += best;
  }
}

void refit_signed_super(Values values, CodedSigned& coded) {
  const double d = f16_value(coded.d);
  double aa = 0, av = 0;
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double sc = coded.sc[k / 16];
    const double a = sc * (d * sc == 0 ? 0 : level_of(values[k] / (d * sc), -32, 31));
    aa += a * a;
    av += a * values[k];
  }
  if (aa > 0 && av > 0) coded.d = unit_f16(av / aa);
}

}  // namespace

BlockPlanes quantise_with_sub_minimum(Values values, double high) {
  Fit wanted[kGroups];
  double scale_max = 0;
  double minimum_max = 0;
  for (std::size_t g = 0; g < kGroups; ++g) {
    wanted[g] = fit_scale_and_minimum(group_of(values, g), high, true);
    scale_max = std::max(scale_max, wanted[g].scale);
    minimum_max = std::max(minimum_max, -wanted[g].minimum);
  }
  Coded coded;
  coded.d = unit_f16(scale_max / 63);
  coded.dmin = unit_f16(minimum_max / 63);
  Coded best;
  for (int pass = 0; pass < kPasses; ++pass) {
    choose_subs(values, wanted, high, coded);
    if (pass == 0 || coded.error < best.error) best = coded;
    refit_super(values, high, coded);
  }
  BlockPlanes planes;
  planes.d = best.d;
  planes.m = best.dmin;
  std::copy_n(best.sc, kGroups, planes.sc);
  std::copy_n(best.mn, kGroups, planes.mn);
  put_levels(values, best, high, planes);
  return planes;
}

BlockPlanes quantise_q6k(Values values) {
  Fit wanted[kHalves];
  double scale_max = 0;
  for (std::size_t h = 0; h < kHalves; ++h) {
    wanted[h] = fit_scale(half_of(values, h), -32, 31);
    scale_max = std::max(scale_max, std::fabs(wanted[h].scale));
  }
  CodedSigned coded;
  coded.d = unit_f16(scale_max / 127);
  CodedSigned best;
  for (int pass = 0; pass < kPasses; ++pass) {
    choose_signed_subs(values, wanted, coded);
    if (pass == 0 || coded.error < best.error) best = coded;
    refit_signed_super(values, coded);
  }
  BlockPlanes planes;
  planes.d = best.d;
  const double d = f16_value(best.d);
  for (std::size_t h = 0; h < kHalves; ++h) planes.sc[h] = static_cast<std::uint8_t>(best.sc[h]);
  for (std::size_t k = 0; k < values.size(); ++k) {
    const double step = d * best.sc[k / 16];
    const double u = step == 0 ? 0 : level_of(values[k] / step, -32, 31);
    planes.v[k] = static_cast<std::uint8_t>(u + 32);
  }
  return planes;
}

}  // namespace thaw::kernels
