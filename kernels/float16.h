// f16 (IEEE 754 binary16) and bf16 in integer code: exact on every machine, with or without
// instructions for it. Values travel as their bit patterns.
#pragma once

#include <bit>
#include <cstdint>

namespace thaw::kernels {

inline constexpr float kF16Max = 65504.0f;  // the largest finite f16

// Exact. NaN stays NaN, with its payload.
constexpr float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero or denormal: a multiple of 2^-24, exact in f32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// Half to even; what is too large becomes infinite, NaN a quiet NaN.
constexpr std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 2^16 and above
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14 and above: normal; a carry may reach infinity
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  } else if (magnitude > 0x33000000u) {  // above 2^-25, half of the least denormal
    const std::uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126 - (magnitude >> 23);  // to units of 2^-24: 14 to 24
    half = (significand + (1u << (shift - 1)) - 1 + (significand >> shift & 1u)) >> shift;
  }
  return static_cast<std::uint16_t>(sign | half);
}

// As keys and values are stored: clamped to the finite values first, so that only NaN stays what
// it is.
constexpr std::uint16_t f32_to_f16_clamped(float value) {
  if (value > kF16Max) value = kF16Max;
  if (value < -kF16Max) value = -kF16Max;
  return f32_to_f16(value);
}

constexpr float bf16_to_f32(std::uint16_t half) {
  return std::bit_cast<float>(std::uint32_t{half} << 16);
}

// Half to even; what is too large becomes infinite, NaN a quiet NaN.
constexpr std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace thaw::kernels
