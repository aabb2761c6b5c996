#include "checks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

#include "kernels/float16.h"
#include "kernels/pack.h"
#include "kernels/pack_planes.h"

namespace thaw::kernels::test {
namespace {

std::uint8_t byte_of(int value) { return static_cast<std::uint8_t>(value); }

// The whole-number range of a kind's v and sc.
struct Range {
  int low;
  int high;
  int pick(Weights weights, std::size_t turn, Random& random) const {
    switch (weights) {
      case Weights::kLargest: return high;
      case Weights::kSmallest: return low;
      case Weights::kAlternating: return turn % 2 == 0 ? high : low;
      default: return low + static_cast<int>(random.below(high - low + 1));
    }
  }
};

Range values_of(Kind kind) {
  switch (kind) {
    case Kind::kQ8: return {-128, 127};
    case Kind::kQ5k: return {0, 31};
    case Kind::kQ6k: return {0, 63};
    default: return {0, 15};
  }
}

Range sub_scales_of(Kind kind) { return kind == Kind::kQ6k ? Range{-128, 127} : Range{0, 63}; }

std::uint16_t random_scale(Weights weights, Random& random) {
  const auto bits = static_cast<std::uint16_t>(random.next());
  switch (weights) {
    case Weights::kZeroScales: return bits & 0x8000u;
    case Weights::kDenormalScales: return bits & 0x83ffu;
    case Weights::kHugeScales: return (bits & 0x8000u) | 0x7bffu;
    case Weights::kAnyScales: return (bits & 0x7c00u) == 0x7c00u ? bits & 0x83ffu : bits;
    case Weights::kInfiniteScales:
      return bits % 3 == 0   ? 0x7c00u | (bits & 0x8000u)
             : bits % 3 == 1 ? 0x7e01u
                             : f32_to_f16(random.symmetric());
    default: return f32_to_f16(random.symmetric() * 0.02f);
  }
}

void random_block(Kind kind, Weights weights, std::size_t row, Random& random, std::byte* to) {
  const Range values = values_of(kind);
  const Range subs = sub_scales_of(kind);
  BlockPlanes planes;
  for (std::size_t k = 0; k < info(kind).block_cols; ++k) {
    planes.v[k] = byte_of(values.pick(weights, k + row, random));
  }
  for (std::size_t i = 0; i < 16; ++i) planes.sc[i] = byte_of(subs.pick(weights, i, random));
  for (std::size_t i = 0; i < 8; ++i) {
    planes.mn[i] = byte_of(Range{0, 63}.pick(weights, i + 1, random));
  }
  planes.d = random_scale(weights, random);
  planes.m = random_scale(weights, random);
  write_row_block(kind, planes, to);
}

float random_float_weight(Weights weights, std::size_t turn, Random& random) {
  const auto bits = static_cast<std::uint32_t>(random.next());
  switch (weights) {
    case Weights::kLargest: return std::numeric_limits<float>::max();
    case Weights::kSmallest: return std::numeric_limits<float>::lowest();
    case Weights::kAlternating: return turn % 2 == 0 ? 1.0f : -1.0f;
    case Weights::kZeroScales: return turn % 2 == 0 ? 0.0f : -0.0f;
    case Weights::kDenormalScales: return std::bit_cast<float>(bits & 0x807fffffu);
    case Weights::kHugeScales: return random.symmetric() * 0x1p+127f;
    case Weights::kAnyScales: return std::bit_cast<float>((bits & 0xbfffffffu));
    case Weights::kInfiniteScales:
      return bits % 64 == 0 ? std::bit_cast<float>(0x7f800000u) : random.symmetric();
    default: return random.normal();
  }
}

void random_float(Kind kind, Weights weights, std::size_t turn, Random& random, std::byte* to) {
  const float value = random_float_weight(weights, turn, random);
  const auto any = static_cast<std::uint16_t>(random.next());
  switch (kind) {
    case Kind::kF16: store(to, weights == Weights::kAnyScales ? any : f32_to_f16(value)); break;
    case Kind::kBf16: store(to, f32_to_bf16(value)); break;
    default: store(to, value); break;
  }
}

}  // namespace

bool same(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

std::string difference(std::span<const float> found, std::span<const float> wanted) {
  if (found.size() != wanted.size()) return "sizes differ";
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (same(found[i], wanted[i])) continue;
    char text[96];
    std::snprintf(text, sizeof text, "at %zu: found %a, wanted %a", i, double{found[i]},
                  double{wanted[i]});
    return text;
  }
  return {};
}

TestMatrix make_matrix(Kind kind, std::uint32_t rows, std::uint32_t cols, Weights weights,
                       Random& random) {
  const KindInfo& facts = info(kind);
  TestMatrix matrix = {kind, rows, cols, std::vector<std::byte>(*rows_bytes(kind, rows, cols)),
                       Aligned(*panels_bytes(kind, rows, cols))};
  const std::size_t blocks = cols / facts.block_cols;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t b = 0; b < blocks; ++b) {
      std::byte* to = matrix.row_bytes.data() + (row * blocks + b) * facts.row_block_bytes;
      if (facts.is_float) {
        random_float(kind, weights, row + b, random, to);
      } else {
        random_block(kind, weights, row, random, to);
      }
    }
  }
  const std::size_t row_bytes = blocks * facts.row_block_bytes;
  const std::size_t panel_bytes = blocks * facts.panel_block_bytes;
  for (std::size_t row = 0; row < rows; row += kPanelRows) {
    const std::size_t count = std::min<std::size_t>(kPanelRows, rows - row);
    pack_panel(kind, Bytes(matrix.row_bytes).subspan(row * row_bytes, count * row_bytes), count,
               cols, {matrix.panels.data() + row / kPanelRows * panel_bytes, panel_bytes});
  }
  return matrix;
}

void fill_input(std::size_t pattern, Random& random, std::span<float> x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::size_t spot = random.below(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float sign = random.below(2) == 0 ? 1.0f : -1.0f;
    const float plain = random.normal();
    switch (pattern % kInputPatterns) {
      case 0: x[i] = plain; break;
      case 1: x[i] = 1.0f; break;                           // +127 everywhere
      case 2: x[i] = -3.5f; break;                          // -127 everywhere
      case 3: x[i] = i % 2 == 0 ? 127.0f : -127.0f; break;  // signs in turn
      case 4: x[i] = sign * 2.0f; break;                    // +-127 in no order
      case 5: x[i] = plain * std::ldexp(1.0f, static_cast<int>(i / 32 % 60) * 4 - 120); break;
      case 6: x[i] = sign * 0x1.fffffep-101f; break;  // just below what counts as zero
      case 7: x[i] = i % 32 == 5 ? 0x1p-100f : plain * 0x1p-104f; break;  // just not
      case 8: x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(random.below(1 << 23))); break;
      case 9: x[i] = sign * std::numeric_limits<float>::max(); break;
      case 10: x[i] = i == spot ? sign * kInfinity : plain; break;
      case 11: x[i] = i == spot ? std::numeric_limits<float>::quiet_NaN() : plain; break;
      case 12: x[i] = sign * 0.0f; break;
      case 13:
        x[i] = i % 32 == 9 ? 127.0f : sign * (static_cast<float>(random.below(127)) + 0.5f);
        break;                                                       // ties
      case 14: x[i] = i % 32 == spot % 32 ? 1000.0f : plain; break;  // an outlier in each group
      default: x[i] = i / 32 % 2 == 0 ? 0.0f : sign * plain * 1e-30f; break;
    }
  }
}

}  // namespace thaw::kernels::test
