#include "kernels/pack_planes.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/float16.h"

namespace thaw::kernels {
namespace {

std::uint8_t at(const std::byte* from, std::size_t index) {
  return std::to_integer<std::uint8_t>(from[index]);
}

void put(std::byte* to, std::size_t index, int bits) { to[index] |= static_cast<std::byte>(bits); }

std::uint16_t half_at(const std::byte* from, std::size_t r) {
  return load<std::uint16_t>(from + 2 * r);
}

void put_half(std::byte* to, std::size_t r, std::uint16_t half) { store(to + 2 * r, half); }

// Where the planes of a panel's block begin, in bytes.
struct PanelPlaces {
  std::size_t high;   // q5k, q6k: the high bits
  std::size_t sub;    // q4k, q5k, q6k: sub-scales
  std::size_t scale;  // d; m is 32 bytes behind it
};

PanelPlaces places(Kind kind) {
  switch (kind) {
    case Kind::kQ8: return {0, 0, 512};
    case Kind::kQ4:
    case Kind::kQ4m: return {0, 0, 256};
    case Kind::kQ4k: return {0, 2112, 2048};
    case Kind::kQ5k: return {2048, 2624, 2560};
    case Kind::kQ6k: return {2048, 3072, 3328};
    case Kind::kF32:
    case Kind::kF16:
    case Kind::kBf16: break;
  }
  THAW_CHECK(info(kind).block_cols > 1);  // a float kind has no planes
  return {};
}

bool has_sub_minimum(Kind kind) { return kind == Kind::kQ4k || kind == Kind::kQ5k; }
bool has_minimum(Kind kind) { return kind == Kind::kQ4m || has_sub_minimum(kind); }

// Byte of a group's nibbles (relative to the group) that holds column k of row r, and its shift.
std::size_t nibble_at(std::size_t k, std::size_t r) { return 64 * (k / 4 % 4) + 4 * r + k % 4; }
int nibble_shift(std::size_t k) { return k / 4 < 4 ? 0 : 4; }

// The high bits of column k (of 256) above its nibble: where, how far up, how many.
struct HighBits {
  std::size_t at;
  int shift;
  int mask;  // 0: the kind has none
};

HighBits high_bits(Kind kind, std::size_t k, std::size_t r) {
  const std::size_t group = k / 32;
  const std::size_t step = k % 32 / 4;
  const std::size_t lane = 4 * r + k % 4;
  if (kind == Kind::kQ5k) return {64 * group + lane, static_cast<int>(step), 1};
  if (kind == Kind::kQ6k) {
    return {128 * group + 64 * (step / 4) + lane, static_cast<int>(2 * (step % 4)), 3};
  }
  return {0, 0, 0};
}

// The 12 bytes that hold eight 6-bit scales and minima in Q4_K and Q5_K.
void read_row_sub(const std::byte* from, BlockPlanes& to) {
  for (std::size_t g = 0; g < 4; ++g) {
    to.sc[g] = at(from, g) & 63;
    to.mn[g] = at(from, g + 4) & 63;
    to.sc[g + 4] = static_cast<std::uint8_t>((at(from, g + 8) & 15) | at(from, g) >> 6 << 4);
    to.mn[g + 4] = static_cast<std::uint8_t>(at(from, g + 8) >> 4 | at(from, g + 4) >> 6 << 4);
  }
}

void write_row_sub(const BlockPlanes& from, std::byte* to) {
  for (std::size_t g = 0; g < 4; ++g) {
    to[g] = static_cast<std::byte>(from.sc[g] | from.sc[g + 4] >> 4 << 6);
    to[g + 4] = static_cast<std::byte>(from.mn[g] | from.mn[g + 4] >> 4 << 6);
    to[g + 8] = static_cast<std::byte>((from.sc[g + 4] & 15) | (from.mn[g + 4] & 15) << 4);
  }
}

// Q4_0 and Q4_1: byte i holds columns i and i + 16.
void read_row_nibbles(const std::byte* from, BlockPlanes& to) {
  for (std::size_t i = 0; i < 16; ++i) {
    to.v[i] = at(from, i) & 15;
    to.v[i + 16] = at(from, i) >> 4;
  }
}

void write_row_nibbles(const BlockPlanes& from, std::byte* to) {
  for (std::size_t i = 0; i < 16; ++i) {
    to[i] = static_cast<std::byte>(from.v[i] | from.v[i + 16] << 4);
  }
}

// Q4_K, Q5_K: 64 columns share 32 bytes, the first 32 in the low nibbles. Bit g of high[i] is the
// fifth bit of column 32 * g + i; `high` is null for Q4_K.
void read_row_k(const std::byte* low, const std::byte* high, BlockPlanes& to) {
  for (std::size_t k = 0; k < 256; ++k) {
    const std::size_t i = k % 32;
    int v = at(low, k / 64 * 32 + i) >> (k / 32 % 2 == 0 ? 0 : 4) & 15;
    if (high != nullptr) v |= (at(high, i) >> (k / 32) & 1) << 4;
    to.v[k] = static_cast<std::uint8_t>(v);
  }
}

void write_row_k(const BlockPlanes& from, std::byte* low, std::byte* high) {
  for (std::size_t k = 0; k < 256; ++k) {
    const std::size_t i = k % 32;
    put(low, k / 64 * 32 + i, (from.v[k] & 15) << (k / 32 % 2 == 0 ? 0 : 4));
    if (high != nullptr) put(high, i, from.v[k] >> 4 << (k / 32));
  }
}

// Q6_K: in each half of 128 columns, column 32 * p + i has its low bits in nibble p / 2 of byte
// i + 32 * (p % 2) of 64, and its high bits at 2 * p of byte i of 32.
void read_row_q6k(const std::byte* low, const std::byte* high, BlockPlanes& to) {
  for (std::size_t k = 0; k < 256; ++k) {
    const std::size_t half = k / 128;
    const std::size_t p = k / 32 % 4;
    const std::size_t i = k % 32;
    const int nibble = at(low, 64 * half + 32 * (p % 2) + i) >> (p < 2 ? 0 : 4) & 15;
    const int top = at(high, 32 * half + i) >> (2 * p) & 3;
    to.v[k] = static_cast<std::uint8_t>(nibble | top << 4);
  }
}

void write_row_q6k(const BlockPlanes& from, std::byte* low, std::byte* high) {
  for (std::size_t k = 0; k < 256; ++k) {
    const std::size_t half = k / 128;
    const std::size_t p = k / 32 % 4;
    const std::size_t i = k % 32;
    put(low, 64 * half + 32 * (p % 2) + i, (from.v[k] & 15) << (p < 2 ? 0 : 4));
    put(high, 32 * half + i, from.v[k] >> 4 << (2 * p));
  }
}

}  // namespace

void read_row_block(Kind kind, const std::byte* from, BlockPlanes& to) {
  if (kind == Kind::kQ6k) {
    read_row_q6k(from, from + 128, to);
    for (std::size_t h = 0; h < 16; ++h) to.sc[h] = at(from, 192 + h);
    to.d = half_at(from + 208, 0);
    return;
  }
  to.d = half_at(from, 0);
  if (has_minimum(kind)) to.m = half_at(from, 1);
  switch (kind) {
    case Kind::kQ8:
      for (std::size_t k = 0; k < 32; ++k) to.v[k] = at(from, 2 + k);
      break;
    case Kind::kQ4: read_row_nibbles(from + 2, to); break;
    case Kind::kQ4m: read_row_nibbles(from + 4, to); break;
    case Kind::kQ4k: read_row_k(from + 16, nullptr, to); break;
    default: read_row_k(from + 48, from + 16, to); break;  // q5k
  }
  if (has_sub_minimum(kind)) read_row_sub(from + 4, to);
}

void write_row_block(Kind kind, const BlockPlanes& from, std::byte* to) {
  std::fill_n(to, info(kind).row_block_bytes, std::byte{0});
  if (kind == Kind::kQ6k) {
    write_row_q6k(from, to, to + 128);
    for (std::size_t h = 0; h < 16; ++h) to[192 + h] = static_cast<std::byte>(from.sc[h]);
    put_half(to + 208, 0, from.d);
    return;
  }
  put_half(to, 0, from.d);
  if (has_minimum(kind)) put_half(to, 1, from.m);
  switch (kind) {
    case Kind::kQ8:
      for (std::size_t k = 0; k < 32; ++k) to[2 + k] = static_cast<std::byte>(from.v[k]);
      break;
    case Kind::kQ4: write_row_nibbles(from, to + 2); break;
    case Kind::kQ4m: write_row_nibbles(from, to + 4); break;
    case Kind::kQ4k: write_row_k(from, to + 16, nullptr); break;
    default: write_row_k(from, to + 48, to + 16); break;  // q5k
  }
  if (has_sub_minimum(kind)) write_row_sub(from, to + 4);
}

void read_panel_block(Kind kind, const std::byte* from, std::size_t r, BlockPlanes& to) {
  const PanelPlaces place = places(kind);
  const std::size_t cols = info(kind).block_cols;
  for (std::size_t k = 0; k < cols; ++k) {
    if (kind == Kind::kQ8) {
      to.v[k] = at(from, 64 * (k / 4) + 4 * r + k % 4);
      continue;
    }
    int v = at(from, 256 * (k / 32) + nibble_at(k % 32, r)) >> nibble_shift(k % 32) & 15;
    const HighBits high = high_bits(kind, k, r);
    if (high.mask != 0) v |= (at(from + place.high, high.at) >> high.shift & high.mask) << 4;
    to.v[k] = static_cast<std::uint8_t>(v);
  }
  to.d = half_at(from + place.scale, r);
  if (has_minimum(kind)) to.m = half_at(from + place.scale + 32, r);
  for (std::size_t h = 0; kind == Kind::kQ6k && h < 16; ++h) {
    to.sc[h] = at(from + place.sub, 16 * h + r);
  }
  for (std::size_t g = 0; has_sub_minimum(kind) && g < 8; ++g) {
    const int low = at(from + place.sub, 16 * g + r);
    const int high = at(from + place.sub + 128, 16 * (g / 2) + r) >> (4 * (g % 2));
    to.sc[g] = static_cast<std::uint8_t>((low & 15) | (high & 3) << 4);
    to.mn[g] = static_cast<std::uint8_t>(low >> 4 | (high >> 2 & 3) << 4);
  }
}

void write_panel_block(Kind kind, const BlockPlanes& from, std::size_t r, std::byte* to) {
  const PanelPlaces place = places(kind);
  const std::size_t cols = info(kind).block_cols;
  for (std::size_t k = 0; k < cols; ++k) {
    if (kind == Kind::kQ8) {
      put(to, 64 * (k / 4) + 4 * r + k % 4, from.v[k]);
      continue;
    }
    put(to, 256 * (k / 32) + nibble_at(k % 32, r), (from.v[k] & 15) << nibble_shift(k % 32));
    const HighBits high = high_bits(kind, k, r);
    if (high.mask != 0) put(to + place.high, high.at, from.v[k] >> 4 << high.shift);
  }
  put_half(to + place.scale, r, from.d);
  if (has_minimum(kind)) put_half(to + place.scale + 32, r, from.m);
  for (std::size_t h = 0; kind == Kind::kQ6k && h < 16; ++h) {
    put(to + place.sub, 16 * h + r, from.sc[h]);
  }
  for (std::size_t g = 0; has_sub_minimum(kind) && g < 8; ++g) {
    put(to + place.sub, 16 * g + r, (from.sc[g] & 15) | (from.mn[g] & 15) << 4);
    put(to + place.sub + 128, 16 * (g / 2) + r,
        (from.sc[g] >> 4 | from.mn[g] >> 4 << 2) << (4 * (g % 2)));
  }
}

void dequantise_block(Kind kind, const BlockPlanes& from, std::span<float> to) {
  const float d = f16_to_f32(from.d);
  const float m = f16_to_f32(from.m);
  for (std::size_t k = 0; k < to.size(); ++k) {
    const auto v = static_cast<float>(from.v[k]);
    switch (kind) {
      case Kind::kQ8: to[k] = static_cast<float>(static_cast<std::int8_t>(from.v[k])) * d; break;
      case Kind::kQ4: to[k] = std::fma(v, d, -8.0f * d); break;
      case Kind::kQ4m: to[k] = std::fma(v, d, m); break;
      case Kind::kQ6k: {
        const auto sc = static_cast<float>(static_cast<std::int8_t>(from.sc[k / 16]));
        to[k] = sc * (v - 32.0f) * d;
        break;
      }
      default: {  // q4k, q5k
        const auto sc = static_cast<float>(from.sc[k / 32]);
        const auto mn = static_cast<float>(from.mn[k / 32]);
        to[k] = std::fma(v, d * sc, -(m * mn));
        break;
      }
    }
  }
}

}  // namespace thaw::kernels
