// Every format's arithmetic in float, in the order that GGUF's own library has: scales first, then
// the weight, then the minimum. Formats whose weights are indices into large code books (IQ1, IQ2,
// IQ3) are left out: no kind of ours stands near them, and files that use them are rare.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/str.h"
#include "snapshot/gguf/gguf.h"

namespace thaw::gguf {
namespace {

using Byte = std::uint8_t;

float half_at(const Byte* from) {
  std::uint16_t half = 0;
  std::memcpy(&half, from, sizeof half);
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7FFFu;
  if (magnitude >= 0x7C00) {  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
  }
  if (magnitude >= 0x0400) {  // normal: only the bias of the exponent differs
    return std::bit_cast<float>(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
  }
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

float bfloat_at(const Byte* from) {
  std::uint16_t upper = 0;
  std::memcpy(&upper, from, sizeof upper);
  return std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
}

template <class Number>
float number_at(const Byte* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return static_cast<float>(number);
}

std::uint32_t word_at(const Byte* from) {
  std::uint32_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

float signed_at(const Byte* from) { return static_cast<float>(static_cast<std::int8_t>(*from)); }

float low(Byte byte) { return static_cast<float>(byte & 0xF); }
float high(Byte byte) { return static_cast<float>(byte >> 4); }

void q4_0(const Byte* block, float* to) {  // f16 scale, 16 bytes: low nibbles are the first half
  const float scale = half_at(block);
  for (int i = 0; i < 16; ++i) {
    to[i] = (low(block[2 + i]) - 8) * scale;
    to[i + 16] = (high(block[2 + i]) - 8) * scale;
  }
}

void q4_1(const Byte* block, float* to) {  // f16 scale, f16 minimum, 16 bytes
  const float scale = half_at(block);
  const float minimum = half_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    to[i] = low(block[4 + i]) * scale + minimum;
    to[i + 16] = high(block[4 + i]) * scale + minimum;
  }
}

// The fifth bits of 32 weights lie in one word, bit i of weight i.
float fifth(std::uint32_t bits, int i) { return static_cast<float>((bits >> i & 1) << 4); }

void q5_0(const Byte* block, float* to) {  // f16 scale, u32 fifth bits, 16 bytes
  const float scale = half_at(block);
  const std::uint32_t bits = word_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    to[i] = (low(block[6 + i]) + fifth(bits, i) - 16) * scale;
    to[i + 16] = (high(block[6 + i]) + fifth(bits, i + 16) - 16) * scale;
  }
}

void q5_1(const Byte* block, float* to) {  // f16 scale, f16 minimum, u32 fifth bits, 16 bytes
  const float scale = half_at(block);
  const float minimum = half_at(block + 2);
  const std::uint32_t bits = word_at(block + 4);
  for (int i = 0; i < 16; ++i) {
    to[i] = (low(block[8 + i]) + fifth(bits, i)) * scale + minimum;
    to[i + 16] = (high(block[8 + i]) + fifth(bits, i + 16)) * scale + minimum;
  }
}

void q8_0(const Byte* block, float* to) {  // f16 scale, 32 bytes
  const float scale = half_at(block);
  for (int i = 0; i < 32; ++i) to[i] = signed_at(block + 2 + i) * scale;
}

void q8_1(const Byte* block, float* to) {  // f16 scale, f16 scaled sum, 32 bytes
  const float scale = half_at(block);
  for (int i = 0; i < 32; ++i) to[i] = signed_at(block + 4 + i) * scale;
}

// 16 bytes of 4-bit scales and minima, 64 bytes of 2-bit weights, f16 scale, f16 minimum. Each half
// of 128 weights takes 32 bytes: two bits of each for the first 32 weights, and so on.
void q2_k(const Byte* block, float* to) {
  const Byte* const weights = block + 16;
  const float scale = half_at(block + 80);
  const float minimum = half_at(block + 82);
  for (int i = 0; i < 256; ++i) {
    const Byte group = block[i / 16];
    const int shift = i % 128 / 32 * 2;
    const int weight = weights[i / 128 * 32 + i % 32] >> shift & 3;
    to[i] = scale * low(group) * static_cast<float>(weight) - minimum * high(group);
  }
}

// 32 bytes of third bits, 64 bytes of 2-bit weights as in Q2_K, 12 bytes of 6-bit scales, f16
// scale.
void q3_k(const Byte* block, float* to) {
  const Byte* const weights = block + 32;
  const Byte* const scales = block + 96;
  const float scale = half_at(block + 108);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 16;
    const int four_bits = group < 8 ? scales[group] & 0xF : scales[group - 8] >> 4;
    const int two_bits = scales[8 + group % 4] >> (group / 4 * 2) & 3;
    const float factor = scale * static_cast<float>((four_bits | two_bits << 4) - 32);
    const int shift = i % 128 / 32 * 2;
    const int weight = weights[i / 128 * 32 + i % 32] >> shift & 3;
    const int third = block[i % 32] >> (i / 32) & 1;
    to[i] = factor * static_cast<float>(weight + third * 4 - 4);
  }
}

// Scale and minimum of a group of 32 in Q4_K and Q5_K: eight of each, 6 bits, in 12 bytes.
struct ScaleAndMinimum {
  float scale;
  float minimum;
};

ScaleAndMinimum scale_and_minimum(const Byte* packed, int group) {
  if (group < 4) {
    return {static_cast<float>(packed[group] & 63), static_cast<float>(packed[group + 4] & 63)};
  }
  const int scale = (packed[group + 4] & 0xF) | packed[group - 4] >> 6 << 4;
  const int minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// f16 scale, f16 minimum, 12 bytes as above, 128 bytes: each 32 of them two groups of 32 weights.
void q4_k(const Byte* block, float* to) {
  for (int group = 0; group < 8; ++group) {
    const auto packed = scale_and_minimum(block + 4, group);
    const float scale = half_at(block) * packed.scale;
    const float minimum = half_at(block + 2) * packed.minimum;
    for (int i = 0; i < 32; ++i) {
      const Byte pair = block[16 + group / 2 * 32 + i];
      to[group * 32 + i] = scale * (group % 2 == 0 ? low(pair) : high(pair)) - minimum;
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the weights: bit g of byte i is group g's weight i.
void q5_k(const Byte* block, float* to) {
  for (int group = 0; group < 8; ++group) {
    const auto packed = scale_and_minimum(block + 4, group);
    const float scale = half_at(block) * packed.scale;
    const float minimum = half_at(block + 2) * packed.minimum;
    for (int i = 0; i < 32; ++i) {
      const Byte pair = block[48 + group / 2 * 32 + i];
      const float four_bits = group % 2 == 0 ? low(pair) : high(pair);
      to[group * 32 + i] = scale * (four_bits + fifth(block[16 + i], group)) - minimum;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, f16 scale. Each half of
// 128 weights takes 64 bytes of nibbles (low ones are the first 64) and 32 of pairs.
void q6_k(const Byte* block, float* to) {
  const float scale = half_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int within = i % 128;
    const Byte nibbles = block[half * 64 + within % 64];
    const int four_bits = within < 64 ? nibbles & 0xF : nibbles >> 4;
    const int two_bits = block[128 + half * 32 + within % 32] >> (within / 32 * 2) & 3;
    const float factor = scale * signed_at(block + 192 + i / 16);
    to[i] = factor * static_cast<float>((four_bits | two_bits << 4) - 32);
  }
}

void q8_k(const Byte* block, float* to) {  // f32 scale, 256 bytes, 16 sums of 16 weights each
  const float scale = number_at<float>(block);
  for (int i = 0; i < 256; ++i) to[i] = scale * signed_at(block + 4 + i);
}

// The 16 levels of IQ4_NL and IQ4_XS.
constexpr float kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

void iq4_nl(const Byte* block, float* to) {  // f16 scale, 16 bytes
  const float scale = half_at(block);
  for (int i = 0; i < 16; ++i) {
    to[i] = scale * kLevels[block[2 + i] & 0xF];
    to[i + 16] = scale * kLevels[block[2 + i] >> 4];
  }
}

// f16 scale, u16 of high scale bits, 4 bytes of low ones, 128 bytes: 16 for each group of 32.
void iq4_xs(const Byte* block, float* to) {
  const float scale = half_at(block);
  const int high_bits = block[2] | block[3] << 8;
  for (int group = 0; group < 8; ++group) {
    const int four_bits = block[4 + group / 2] >> (group % 2 * 4) & 0xF;
    const int two_bits = high_bits >> (group * 2) & 3;
    const float factor = scale * static_cast<float>((four_bits | two_bits << 4) - 32);
    for (int i = 0; i < 16; ++i) {
      const Byte pair = block[8 + group * 16 + i];
      to[group * 32 + i] = factor * kLevels[pair & 0xF];
      to[group * 32 + i + 16] = factor * kLevels[pair >> 4];
    }
  }
}

// A byte of exponent, 16 bytes of 4-bit floats (e2m1), here doubled so that they are integers; the
// scale is halved in turn: 2^(e - 128).
void mxfp4(const Byte* block, float* to) {
  constexpr float kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const std::uint32_t exponent = block[0];
  const float scale = exponent < 2 ? std::bit_cast<float>(0x00200000u << exponent)
                                   : std::bit_cast<float>((exponent - 1) << 23);
  for (int i = 0; i < 16; ++i) {
    to[i] = scale * kDoubled[block[1 + i] & 0xF];
    to[i + 16] = scale * kDoubled[block[1 + i] >> 4];
  }
}

// Digit `place` of a byte that holds five base-3 digits as a fraction of 256, the first digit the
// most significant: multiplied up to it (wrapping drops those before), then the integer part.
float ternary_digit(Byte byte, int place) {
  constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  const int fraction = byte * kPowers[place] & 0xFF;
  return static_cast<float>((fraction * 3 >> 8) - 1);
}

// 48 bytes of five digits and 4 of four, f16 scale. Digit by digit: first the 32 bytes at the
// front, then the 16 after them, then the 4.
void tq1_0(const Byte* block, float* to) {
  const float scale = half_at(block + 52);
  for (int i = 0; i < 160; ++i) to[i] = ternary_digit(block[i % 32], i / 32) * scale;
  for (int i = 0; i < 80; ++i) to[160 + i] = ternary_digit(block[32 + i % 16], i / 16) * scale;
  for (int i = 0; i < 16; ++i) to[240 + i] = ternary_digit(block[48 + i % 4], i / 4) * scale;
}

void tq2_0(const Byte* block, float* to) {  // 64 bytes of 2-bit weights as in Q2_K, f16 scale
  const float scale = half_at(block + 64);
  for (int i = 0; i < 256; ++i) {
    const int weight = block[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    to[i] = static_cast<float>(weight - 1) * scale;
  }
}

template <float (*convert)(const Byte*)>
void one(const Byte* block, float* to) {
  *to = convert(block);
}

// Turns one block into TypeInfo::block_elements floats.
using Dequantise = void (*)(const Byte* block, float* to);

Dequantise find_dequantise(Type type) {
  switch (type) {
    case Type::kF32: return one<number_at<float>>;
    case Type::kF16: return one<half_at>;
    case Type::kBf16: return one<bfloat_at>;
    case Type::kF64: return one<number_at<double>>;
    case Type::kI8: return one<number_at<std::int8_t>>;
    case Type::kI16: return one<number_at<std::int16_t>>;
    case Type::kI32: return one<number_at<std::int32_t>>;
    case Type::kI64: return one<number_at<std::int64_t>>;
    case Type::kQ4_0: return q4_0;
    case Type::kQ4_1: return q4_1;
    case Type::kQ5_0: return q5_0;
    case Type::kQ5_1: return q5_1;
    case Type::kQ8_0: return q8_0;
    case Type::kQ8_1: return q8_1;
    case Type::kQ2_K: return q2_k;
    case Type::kQ3_K: return q3_k;
    case Type::kQ4_K: return q4_k;
    case Type::kQ5_K: return q5_k;
    case Type::kQ6_K: return q6_k;
    case Type::kQ8_K: return q8_k;
    case Type::kIq4Nl: return iq4_nl;
    case Type::kIq4Xs: return iq4_xs;
    case Type::kMxfp4: return mxfp4;
    case Type::kTq1_0: return tq1_0;
    case Type::kTq2_0: return tq2_0;
    case Type::kIq2Xxs:
    case Type::kIq2Xs:
    case Type::kIq3Xxs:
    case Type::kIq1S:
    case Type::kIq3S:
    case Type::kIq2S:
    case Type::kIq1M: return nullptr;
  }
  return nullptr;
}

}  // namespace

Result<Done> dequantise(Type type, Bytes blocks, std::span<float> to) {
  const TypeInfo* const info = find_type(static_cast<std::uint32_t>(type));
  const Dequantise block_to_floats = find_dequantise(type);
  if (info == nullptr || block_to_floats == nullptr) {
    const std::string number = cat("number ", static_cast<std::uint32_t>(type));
    return fail(Code::kUnsupported,
                cat("dequantise: type ", info == nullptr ? std::string_view(number) : info->name,
                    " is not known here; convert the model to Q8_0 or Q4_K"));
  }
  const std::uint64_t count = to.size() / info->block_elements;
  if (count * info->block_elements != to.size() || blocks.size() / info->block_bytes < count) {
    return fail(Code::kInvalid,
                cat("dequantise: ", to.size(), " elements of ", info->name, " from ", blocks.size(),
                    " bytes: a block of ", info->block_bytes, " bytes has ", info->block_elements));
  }
  const auto* block = reinterpret_cast<const Byte*>(blocks.data());
  float* out = to.data();
  for (std::uint64_t index = 0; index < count; ++index) {
    block_to_floats(block, out);
    block += info->block_bytes;
    out += info->block_elements;
  }
  return Done{};
}

}  // namespace thaw::gguf
