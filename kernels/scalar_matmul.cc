#include "kernels/scalar_matmul.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/float16.h"

namespace thaw::kernels::scalar {
namespace {

constexpr float kTinyGroup = 0x1p-100f;  // below it a group counts as zero
constexpr float kHugeGroup = 0x1p100f;   // from it on a group counts as not finite

// One term of a token's group, as pack() writes it; a group has a place for two.
struct Term {
  float s;
  float g;
  std::int8_t q[kGroupCols];
};
static_assert(sizeof(Term) == 40);
constexpr std::size_t kGroupBytes = 2 * sizeof(Term);

float largest_of(const float* x) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < kGroupCols; ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  }
  return std::bit_cast<float>(largest);
}

bool is_usual(float largest) { return largest >= kTinyGroup && largest < kHugeGroup; }

Term term_of(const float* x) {
  const float a = largest_of(x);
  Term term = {};
  if (!is_usual(a)) {
    if (!(a < kTinyGroup)) term.s = term.g = std::numeric_limits<float>::quiet_NaN();
    return term;
  }
  term.s = std::bit_cast<float>(std::bit_cast<std::uint32_t>(a / 127.0f) & ~3u);
  const float r = 1.0f / term.s;
  int sum = 0;
  for (std::size_t i = 0; i < kGroupCols; ++i) {
    const int q = static_cast<int>(std::rint(x[i] * r));
    term.q[i] = static_cast<std::int8_t>(q);
    sum += q;
  }
  term.g = term.s * static_cast<float>(sum);
  return term;
}

// What `first` left over of its group.
Term second_term_of(const float* x, const Term& first) {
  float rest[kGroupCols];
  for (std::size_t i = 0; i < kGroupCols; ++i) {
    rest[i] = std::fma(-static_cast<float>(first.q[i]), first.s, x[i]);
  }
  return term_of(rest);
}

// Whether fewer than `count` groups of the token come before group g: larger ones, and those to its
// left that are as large.
bool is_refined(std::span<const float> largest, std::size_t g, std::size_t count) {
  if (!is_usual(largest[g])) return false;
  std::size_t before = 0;
  for (std::size_t i = 0; i < largest.size() && before < count; ++i) {
    if (!is_usual(largest[i])) continue;
    if (largest[i] > largest[g] || (largest[i] == largest[g] && i < g)) ++before;
  }
  return before < count;
}

// One row's group of 32 columns: the weight is d * u + m.
struct WeightGroup {
  int u[kGroupCols];
  float d;
  float m;
  bool has_m;
};

float f16_at(const std::byte* from, std::size_t index) {
  return f16_to_f32(load<std::uint16_t>(from + 2 * index));
}

int byte_at(const std::byte* from, std::size_t index) { return std::to_integer<int>(from[index]); }

int signed_byte_at(const std::byte* from, std::size_t index) {
  return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(from[index]));
}

// Four lines of nibbles of row r.
void read_nibbles(const std::byte* lines, std::size_t r, int* u) {
  for (std::size_t j = 0; j < 4; ++j) {
    for (std::size_t i = 0; i < 4; ++i) {
      const int both = byte_at(lines, 64 * j + 4 * r + i);
      u[4 * j + i] = both & 15;
      u[4 * (j + 4) + i] = both >> 4;
    }
  }
}

// d and m of a group of q4k or q5k; `planes` begins with the scales of the block.
void read_sub(const std::byte* planes, std::size_t group, std::size_t r, WeightGroup& to) {
  const std::byte* sub = planes + 64;
  const int low = byte_at(sub, 16 * group + r);
  const int high = byte_at(sub, 128 + 16 * (group / 2) + r) >> (group % 2 == 0 ? 0 : 4);
  const int sc = (low & 15) | (high & 3) << 4;
  const int mn = low >> 4 | (high >> 2 & 3) << 4;
  to.d = f16_at(planes, r) * static_cast<float>(sc);
  to.m = -(f16_at(planes + 32, r) * static_cast<float>(mn));
  to.has_m = true;
}

void read_q5k(const std::byte* block, std::size_t group, std::size_t r, WeightGroup& to) {
  read_nibbles(block + 256 * group, r, to.u);
  const std::byte* high = block + 2048 + 64 * group;
  for (std::size_t k = 0; k < kGroupCols; ++k) {
    to.u[k] |= (byte_at(high, 4 * r + k % 4) >> (k / 4) & 1) << 4;
  }
  read_sub(block + 2560, group, r, to);
}

void read_q6k(const std::byte* block, std::size_t group, std::size_t r, WeightGroup& to) {
  read_nibbles(block + 256 * group, r, to.u);
  const std::byte* high = block + 2048 + 128 * group;
  for (std::size_t k = 0; k < kGroupCols; ++k) {
    const std::size_t step = k / 4;
    const int bits = byte_at(high, 64 * (step / 4) + 4 * r + k % 4) >> (2 * (step % 4)) & 3;
    const int sc = signed_byte_at(block + 3072, 16 * (2 * group + k / 16) + r);
    to.u[k] = sc * ((to.u[k] | bits << 4) - 32);
  }
  to.d = f16_at(block + 3328, r);
  to.has_m = false;
}

// Group `group` of the block, row r of the panel.
void read_group(Kind kind, const std::byte* block, std::size_t group, std::size_t r,
                WeightGroup& to) {
  switch (kind) {
    case Kind::kQ8:
      for (std::size_t k = 0; k < kGroupCols; ++k) {
        to.u[k] = signed_byte_at(block, 64 * (k / 4) + 4 * r + k % 4);
      }
      to.d = f16_at(block + 512, r);
      to.has_m = false;
      break;
    case Kind::kQ4:
      read_nibbles(block, r, to.u);
      to.d = f16_at(block + 256, r);
      to.m = -8.0f * to.d;
      to.has_m = true;
      break;
    case Kind::kQ4m:
      read_nibbles(block, r, to.u);
      to.d = f16_at(block + 256, r);
      to.m = f16_at(block + 288, r);
      to.has_m = true;
      break;
    case Kind::kQ4k:
      read_nibbles(block + 256 * group, r, to.u);
      read_sub(block + 2048, group, r, to);
      break;
    case Kind::kQ5k: read_q5k(block, group, r, to); break;
    case Kind::kQ6k: read_q6k(block, group, r, to); break;
    case Kind::kF32:
    case Kind::kF16:
    case Kind::kBf16: break;  // have no groups
  }
}

float accumulate(const WeightGroup& w, const Term& x, float acc) {
  int dot = 0;
  for (std::size_t k = 0; k < kGroupCols; ++k) dot += w.u[k] * x.q[k];
  const float t = static_cast<float>(dot) * x.s;
  acc = std::fma(t, w.d, acc);
  if (w.has_m) acc = std::fma(x.g, w.m, acc);
  return acc;
}

// The products of one row of a quantised matrix with every token.
//   y of token t at y[t * y_stride]
void quantised_row(Kind kind, const std::byte* panel, std::size_t r, const Activations& in,
                   float* y, std::size_t y_stride) {
  const KindInfo& facts = info(kind);
  const std::size_t groups_per_block = facts.block_cols / kGroupCols;
  const std::size_t groups = in.cols / kGroupCols;
  for (std::size_t t = 0; t < in.tokens; ++t) y[t * y_stride] = 0.0f;
  WeightGroup w = {};
  for (std::size_t g = 0; g < groups; ++g) {
    const std::byte* block = panel + g / groups_per_block * facts.panel_block_bytes;
    read_group(kind, block, g % groups_per_block, r, w);
    for (std::size_t t = 0; t < in.tokens; ++t) {
      const std::byte* terms = in.packed + (t * groups + g) * kGroupBytes;
      float& acc = y[t * y_stride];
      acc = accumulate(w, load<Term>(terms), acc);
      acc = accumulate(w, load<Term>(terms + sizeof(Term)), acc);
    }
  }
  for (std::size_t t = 0; t < in.tokens; ++t) y[t * y_stride] += 0.0f;
}

float float_weight(Kind kind, const std::byte* panel, std::size_t k, std::size_t r) {
  const std::size_t index = k * kPanelRows + r;
  if (kind == Kind::kF32) return load<float>(panel + 4 * index);
  const auto half = load<std::uint16_t>(panel + 2 * index);
  return kind == Kind::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

void float_row(Kind kind, const std::byte* panel, std::size_t r, const Activations& in, float* y,
               std::size_t y_stride) {
  for (std::size_t t = 0; t < in.tokens; ++t) {
    const float* x = in.x + t * in.stride;
    float acc = 0.0f;
    for (std::size_t k = 0; k < in.cols; ++k) {
      acc = std::fma(float_weight(kind, panel, k, r), x[k], acc);
    }
    y[t * y_stride] = acc + 0.0f;
  }
}

}  // namespace

std::size_t packed_bytes(std::size_t tokens, std::size_t cols, std::size_t) {
  return tokens * (cols / kGroupCols) * kGroupBytes;
}

void pack(const Activations& in, std::size_t block_begin, std::size_t block_end,
          std::byte* packed) {
  const std::size_t groups = in.cols / kGroupCols;
  for (std::size_t t = block_begin; t < std::min(block_end, in.tokens); ++t) {
    const float* x = in.x + t * in.stride;
    float largest[kPackedColsMax / kGroupCols];
    for (std::size_t g = 0; g < groups; ++g) largest[g] = largest_of(x + g * kGroupCols);
    for (std::size_t g = 0; g < groups; ++g) {
      const Term first = term_of(x + g * kGroupCols);
      std::byte* terms = packed + (t * groups + g) * kGroupBytes;
      store(terms, first);
      const bool refined = is_refined({largest, groups}, g, in.refined);
      store(terms + sizeof(Term), refined ? second_term_of(x + g * kGroupCols, first) : Term{});
    }
  }
}

std::size_t scratch_bytes(Kind, std::size_t, std::size_t) { return 0; }

void matmul(const Matrix& w, std::size_t panel_begin, std::size_t panel_end, const Activations& in,
            float* y, std::size_t y_stride, std::byte*) {
  const KindInfo& facts = info(w.kind);
  const std::size_t panel_bytes = w.cols / facts.block_cols * facts.panel_block_bytes;
  const std::size_t row_end = std::min<std::size_t>(panel_end * kPanelRows, w.rows);
  for (std::size_t row = panel_begin * kPanelRows; row < row_end; ++row) {
    const std::byte* panel = w.panels + row / kPanelRows * panel_bytes;
    const std::size_t r = row % kPanelRows;
    if (facts.is_float) {
      float_row(w.kind, panel, r, in, y + row, y_stride);
    } else {
      quantised_row(w.kind, panel, r, in, y + row, y_stride);
    }
  }
}

}  // namespace thaw::kernels::scalar
