#include "dequantise_oracle.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace thaw::gguf::oracle {

double half(const Byte* from) {
  const int bits = from[0] | from[1] << 8;
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

namespace {

// Nibbles of 16 bytes: low ones first, then high ones.
std::vector<int> nibbles(const Byte* from) {
  std::vector<int> out;
  for (int i = 0; i < 16; ++i) out.push_back(from[i] % 16);
  for (int i = 0; i < 16; ++i) out.push_back(from[i] / 16);
  return out;
}

}  // namespace

Values q4_0(const Block& b) {
  Values out;
  for (const int q : nibbles(&b[2])) out.push_back(half(&b[0]) * (q - 8));
  return out;
}

namespace {

Values q4_1(const Block& b) {
  Values out;
  for (const int q : nibbles(&b[4])) out.push_back(half(&b[0]) * q + half(&b[2]));
  return out;
}

std::vector<int> with_fifth(std::vector<int> four, const Byte* bits) {
  for (std::size_t i = 0; i < 32; ++i) four[i] += (bits[i / 8] >> (i % 8)) % 2 * 16;
  return four;
}

Values q5_0(const Block& b) {
  Values out;
  for (const int q : with_fifth(nibbles(&b[6]), &b[2])) out.push_back(half(&b[0]) * (q - 16));
  return out;
}

Values q5_1(const Block& b) {
  Values out;
  for (const int q : with_fifth(nibbles(&b[8]), &b[4])) {
    out.push_back(half(&b[0]) * q + half(&b[2]));
  }
  return out;
}

Values bytes_times(double scale, const Byte* from, int count) {
  Values out;
  for (int i = 0; i < count; ++i) out.push_back(scale * std::bit_cast<std::int8_t>(from[i]));
  return out;
}

Values q2_k(const Block& b) {
  Values out;
  const Byte* scales = &b[0];
  const Byte* q = &b[16];
  for (int part = 0; part < 2; ++part, q += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int sixteen = 0; sixteen < 2; ++sixteen, ++scales) {
        for (int l = 0; l < 16; ++l) {
          const int weight = (q[l + 16 * sixteen] >> shift) % 4;
          out.push_back(half(&b[80]) * (*scales % 16) * weight - half(&b[82]) * (*scales / 16));
        }
      }
    }
  }
  return out;
}

Values q3_k(const Block& b) {
  // The sixteen scales: twelve bytes as three words; as the reference unpacks them, by masks.
  std::uint32_t packed[3];
  std::memcpy(packed, &b[96], 12);
  std::uint32_t words[4];
  for (int w = 0; w < 4; ++w) {
    const std::uint32_t low = (w < 2 ? packed[w] : packed[w - 2] >> 4) & 0x0F0F0F0F;
    words[w] = low | ((packed[2] >> (2 * w)) & 0x03030303) << 4;
  }
  Byte scales[16];
  std::memcpy(scales, words, 16);
  Values out;
  const Byte* q = &b[32];
  int mask = 1;
  int group = 0;
  for (int part = 0; part < 2; ++part, q += 32) {
    for (int shift = 0; shift < 8; shift += 2, mask <<= 1) {
      for (int sixteen = 0; sixteen < 2; ++sixteen, ++group) {
        for (int l = 16 * sixteen; l < 16 * sixteen + 16; ++l) {
          const int weight =
              (q[l] >> shift & 3) - ((b[static_cast<std::size_t>(l)] & mask) ? 0 : 4);
          out.push_back(half(&b[108]) * (scales[group] - 32) * weight);
        }
      }
    }
  }
  return out;
}

// Eight scales and eight minima of 6 bits, as one row of sixteen numbers.
std::vector<int> scales_of_k(const Byte* p) {
  std::vector<int> out(16);
  for (std::size_t j = 0; j < 4; ++j) {
    out[j] = p[j] % 64;
    out[8 + j] = p[4 + j] % 64;
    out[4 + j] = p[8 + j] % 16 + p[j] / 64 * 16;
    out[12 + j] = p[8 + j] / 16 + p[4 + j] / 64 * 16;
  }
  return out;
}

Values q45_k(const Block& b, std::size_t weights_at, bool five) {
  const auto scales = scales_of_k(&b[4]);
  Values out;
  std::size_t group = 0;
  for (const Byte* q = &b[weights_at]; group < 8; q += 32) {
    for (const int divisor : {1, 16}) {
      for (std::size_t l = 0; l < 32; ++l) {
        int weight = q[l] / divisor % 16;
        if (five && (b[16 + l] & (1 << group)) != 0) weight += 16;
        out.push_back(half(&b[0]) * scales[group] * weight - half(&b[2]) * scales[8 + group]);
      }
      ++group;
    }
  }
  return out;
}

Values q6_k(const Block& b) {
  Values out(256);
  const Byte* low = &b[0];
  const Byte* high = &b[128];
  const Byte* scales = &b[192];
  for (std::size_t n = 0; n < 256; n += 128, low += 64, high += 32, scales += 8) {
    for (std::size_t l = 0; l < 32; ++l) {
      const int weights[4] = {
          (low[l] & 15) | (high[l] & 3) << 4, (low[l + 32] & 15) | (high[l] >> 2 & 3) << 4,
          low[l] >> 4 | (high[l] >> 4 & 3) << 4, low[l + 32] >> 4 | (high[l] >> 6 & 3) << 4};
      for (std::size_t quarter = 0; quarter < 4; ++quarter) {
        const auto scale = std::bit_cast<std::int8_t>(scales[l / 16 + 2 * quarter]);
        out[n + l + 32 * quarter] = half(&b[208]) * scale * (weights[quarter] - 32);
      }
    }
  }
  return out;
}

}  // namespace

Values q8_k(const Block& b) {
  float scale = 0;
  std::memcpy(&scale, b.data(), 4);
  return bytes_times(scale, &b[4], 256);
}

namespace {

constexpr int kCurve[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

Values iq4_nl(const Block& b) {
  Values out;
  for (const int q : nibbles(&b[2])) out.push_back(half(&b[0]) * kCurve[q]);
  return out;
}

Values iq4_xs(const Block& b) {
  Values out;
  std::uint32_t high = b[2] + 256u * b[3];
  for (std::size_t group = 0; group < 8; ++group, high >>= 2) {
    const int low = group % 2 == 0 ? b[4 + group / 2] % 16 : b[4 + group / 2] / 16;
    const int scale = low + 16 * static_cast<int>(high % 4) - 32;
    for (const int q : nibbles(&b[8 + 16 * group])) out.push_back(half(&b[0]) * scale * kCurve[q]);
  }
  return out;
}

Values mxfp4(const Block& b) {
  constexpr double kFloats[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};  // e2m1
  Values out;
  for (const int q : nibbles(&b[1])) {
    out.push_back(std::ldexp(q < 8 ? kFloats[q] : -kFloats[q - 8], b[0] - 127));
  }
  return out;
}

Values tq1_0(const Block& b) {
  // A byte is a fraction of 256 whose base-3 digits are the weights plus one.
  const auto digit = [](Byte byte, int place) {
    int fraction = byte;
    for (int i = 0; i < place; ++i) fraction = fraction * 3 % 256;
    return fraction * 3 / 256 - 1;
  };
  Values out;
  const auto rows = [&](std::size_t begin, std::size_t count, int places) {
    for (int place = 0; place < places; ++place) {
      for (std::size_t i = begin; i < begin + count; ++i) {
        out.push_back(half(&b[52]) * digit(b[i], place));
      }
    }
  };
  rows(0, 32, 5);
  rows(32, 16, 5);
  rows(48, 4, 4);
  return out;
}

Values tq2_0(const Block& b) {
  Values out;
  for (std::size_t part = 0; part < 64; part += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (std::size_t m = 0; m < 32; ++m) {
        out.push_back(half(&b[64]) * ((b[part + m] >> shift) % 4 - 1));
      }
    }
  }
  return out;
}

template <class Number>
Values one(const Block& b) {
  Number number;
  std::memcpy(&number, b.data(), sizeof number);
  return {static_cast<double>(number)};
}

}  // namespace

std::vector<Format> formats() {
  return {
      {Type::kQ4_0, q4_0, {0}},
      {Type::kQ4_1, q4_1, {0, 2}},
      {Type::kQ5_0, q5_0, {0}},
      {Type::kQ5_1, q5_1, {0, 2}},
      {Type::kQ8_0, [](const Block& b) { return bytes_times(half(&b[0]), &b[2], 32); }, {0}},
      {Type::kQ8_1, [](const Block& b) { return bytes_times(half(&b[0]), &b[4], 32); }, {0}},
      {Type::kQ2_K, q2_k, {80, 82}},
      {Type::kQ3_K, q3_k, {108}},
      {Type::kQ4_K, [](const Block& b) { return q45_k(b, 16, false); }, {0, 2}},
      {Type::kQ5_K, [](const Block& b) { return q45_k(b, 48, true); }, {0, 2}},
      {Type::kQ6_K, q6_k, {208}},
      {Type::kIq4Nl, iq4_nl, {0}},
      {Type::kIq4Xs, iq4_xs, {0}},
      {Type::kMxfp4, mxfp4, {}},
      {Type::kTq1_0, tq1_0, {52}},
      {Type::kTq2_0, tq2_0, {64}},
      {Type::kI8, one<std::int8_t>, {}},
      {Type::kI16, one<std::int16_t>, {}},
      {Type::kI32, one<std::int32_t>, {}},
      {Type::kI64, one<std::int64_t>, {}},
  };
}

}  // namespace thaw::gguf::oracle
