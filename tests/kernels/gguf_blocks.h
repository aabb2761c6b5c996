// GGUF's block formats as its own structures have them, decoded to float64 with no code of ours:
// the oracle of the rows layout.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/kind.h"

namespace thaw::kernels::test {

inline double gguf_half(const std::uint8_t* at) {
  const unsigned bits = at[0] | at[1] << 8;
  const double sign = bits >> 15 != 0 ? -1 : 1;
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 1023;
  if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * fraction * 0x1p-24;
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// Six-bit scale and minimum number j of the twelve bytes of Q4_K and Q5_K.
inline void gguf_scale_min(int j, const std::uint8_t* q, int& scale, int& minimum) {
  if (j < 4) {
    scale = q[j] & 63;
    minimum = q[j + 4] & 63;
  } else {
    scale = (q[j + 4] & 15) | ((q[j - 4] >> 6) << 4);
    minimum = (q[j + 4] >> 4) | ((q[j] >> 6) << 4);
  }
}

inline void gguf_simple_block(Kind kind, const std::uint8_t* b, double* y) {
  const double d = gguf_half(b);
  for (int i = 0; i < 16; ++i) {
    if (kind == Kind::kQ4) {  // half d; u8 qs[16]
      y[i] = d * ((b[2 + i] & 15) - 8);
      y[i + 16] = d * ((b[2 + i] >> 4) - 8);
    } else if (kind == Kind::kQ4m) {  // half d, m; u8 qs[16]
      y[i] = d * (b[4 + i] & 15) + gguf_half(b + 2);
      y[i + 16] = d * (b[4 + i] >> 4) + gguf_half(b + 2);
    } else {  // half d; s8 qs[32]
      y[i] = d * static_cast<std::int8_t>(b[2 + i]);
      y[i + 16] = d * static_cast<std::int8_t>(b[2 + 16 + i]);
    }
  }
}

// half d, dmin; u8 scales[12]; Q5_K: u8 qh[32]; u8 qs[128]
inline void gguf_k_block(bool five, const std::uint8_t* b, double* y) {
  const double d = gguf_half(b);
  const double dmin = gguf_half(b + 2);
  const std::uint8_t* qh = b + 16;
  const std::uint8_t* ql = b + (five ? 48 : 16);
  int group = 0;
  for (int j = 0; j < 256; j += 64) {
    for (int upper = 0; upper < 2; ++upper, ++group) {
      int scale = 0;
      int minimum = 0;
      gguf_scale_min(group, b + 4, scale, minimum);
      for (int l = 0; l < 32; ++l) {
        int q = upper != 0 ? ql[l] >> 4 : ql[l] & 15;
        if (five && (qh[l] & (1 << group)) != 0) q += 16;
        *y++ = d * scale * q - dmin * minimum;
      }
    }
    ql += 32;
  }
}

// u8 ql[128], qh[64]; s8 scales[16]; half d
inline void gguf_q6_block(const std::uint8_t* b, double* y) {
  const std::uint8_t* ql = b;
  const std::uint8_t* qh = b + 128;
  const auto* sc = reinterpret_cast<const std::int8_t*>(b + 192);
  const double d = gguf_half(b + 208);
  for (int n = 0; n < 256; n += 128) {
    for (int l = 0; l < 32; ++l) {
      const int is = l / 16;
      const int q1 = ((ql[l] & 15) | ((qh[l] >> 0) & 3) << 4) - 32;
      const int q2 = ((ql[l + 32] & 15) | ((qh[l] >> 2) & 3) << 4) - 32;
      const int q3 = ((ql[l] >> 4) | ((qh[l] >> 4) & 3) << 4) - 32;
      const int q4 = ((ql[l + 32] >> 4) | ((qh[l] >> 6) & 3) << 4) - 32;
      y[l] = d * sc[is] * q1;
      y[l + 32] = d * sc[is + 2] * q2;
      y[l + 64] = d * sc[is + 4] * q3;
      y[l + 96] = d * sc[is + 6] * q4;
    }
    y += 128;
    ql += 64;
    qh += 32;
    sc += 8;
  }
}

// The exact values of a row.
inline std::vector<double> gguf_row(Kind kind, Bytes row, std::size_t cols) {
  std::vector<double> y(cols);
  const auto* b = reinterpret_cast<const std::uint8_t*>(row.data());
  for (std::size_t k = 0; k < cols; k += info(kind).block_cols) {
    switch (kind) {
      case Kind::kF32: {
        float value;
        std::memcpy(&value, b, 4);
        y[k] = value;
        break;
      }
      case Kind::kF16: y[k] = gguf_half(b); break;
      case Kind::kBf16: {
        const std::uint8_t widened[4] = {0, 0, b[0], b[1]};
        float value;
        std::memcpy(&value, widened, 4);
        y[k] = value;
        break;
      }
      case Kind::kQ4k: gguf_k_block(false, b, &y[k]); break;
      case Kind::kQ5k: gguf_k_block(true, b, &y[k]); break;
      case Kind::kQ6k: gguf_q6_block(b, &y[k]); break;
      default: gguf_simple_block(kind, b, &y[k]); break;
    }
    b += info(kind).row_block_bytes;
  }
  return y;
}

}  // namespace thaw::kernels::test
