// The lane vocabulary of the generic sources, for NEON: sixteen lanes are four q registers.
// Included inside the target region of neon.cc and neon_i8mm.cc, once each.
#pragma once

// How many Lanes16 accumulators the registers hold, and how many queries attention takes at once.
inline constexpr std::size_t kLanesAccumulators = 4;
inline constexpr std::size_t kQueryTile = 4;
inline constexpr std::size_t kFloatColumns = 4;

// Sixteen floats. Lane i of an operation is the IEEE operation on lanes i of its operands.
struct Lanes16 {
  float32x4_t v[4];

  static THAW_INLINE Lanes16 set1(float x) {
    const float32x4_t all = vdupq_n_f32(x);
    return {{all, all, all, all}};
  }
  static THAW_INLINE Lanes16 zero() { return set1(0.0f); }
  static THAW_INLINE Lanes16 load(const float* from) {
    return {{vld1q_f32(from), vld1q_f32(from + 4), vld1q_f32(from + 8), vld1q_f32(from + 12)}};
  }
  static THAW_INLINE Lanes16 load_f16(const void* from) {
    const uint16_t* halves = static_cast<const uint16_t*>(from);
    return {{f16(halves), f16(halves + 4), f16(halves + 8), f16(halves + 12)}};
  }
  static THAW_INLINE Lanes16 load_bf16(const void* from) {
    const uint16_t* halves = static_cast<const uint16_t*>(from);
    return {{bf16(halves), bf16(halves + 4), bf16(halves + 8), bf16(halves + 12)}};
  }
  // Sixteen unsigned bytes, as floats.
  static THAW_INLINE Lanes16 widen_u8(uint8x16_t bytes) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
             vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
             vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
             vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
  }

  THAW_INLINE void store(float* to) const {
    vst1q_f32(to, v[0]);
    vst1q_f32(to + 4, v[1]);
    vst1q_f32(to + 8, v[2]);
    vst1q_f32(to + 12, v[3]);
  }
  // Rounds half to even; clamp first.
  THAW_INLINE void store_f16(void* to) const {
    uint16_t* halves = static_cast<uint16_t*>(to);
    THAW_UNROLL
    for (int i = 0; i < 4; ++i) {
      vst1_u16(halves + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v[i])));
    }
  }

  // The sixteen sums' tree: 8, 4, 2, 1 apart.
  THAW_INLINE float tree() const {
    const float32x4_t four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  THAW_INLINE float largest() const {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v[0], v[2]), vmaxq_f32(v[1], v[3])));
  }

 private:
  static THAW_INLINE float32x4_t f16(const uint16_t* from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
  }
  static THAW_INLINE float32x4_t bf16(const uint16_t* from) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16));
  }
};

THAW_INLINE Lanes16 add(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vaddq_f32(a.v[i], b.v[i]);
  return a;
}
THAW_INLINE Lanes16 sub(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vsubq_f32(a.v[i], b.v[i]);
  return a;
}
THAW_INLINE Lanes16 mul(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vmulq_f32(a.v[i], b.v[i]);
  return a;
}
THAW_INLINE Lanes16 div(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vdivq_f32(a.v[i], b.v[i]);
  return a;
}
// a * b + c, rounded once.
THAW_INLINE Lanes16 fma(const Lanes16& a, const Lanes16& b, Lanes16 c) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) c.v[i] = vfmaq_f32(c.v[i], a.v[i], b.v[i]);
  return c;
}
// NaN where either operand is.
THAW_INLINE Lanes16 min(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vminq_f32(a.v[i], b.v[i]);
  return a;
}
THAW_INLINE Lanes16 max(Lanes16 a, const Lanes16& b) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vmaxq_f32(a.v[i], b.v[i]);
  return a;
}
THAW_INLINE Lanes16 negate(Lanes16 a) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vnegq_f32(a.v[i]);
  return a;
}
// To the nearest whole number, half to even.
THAW_INLINE Lanes16 round(Lanes16 a) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) a.v[i] = vrndnq_f32(a.v[i]);
  return a;
}
THAW_INLINE float32x4_t power_of_two(int32x4_t exponent) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(exponent, vdupq_n_s32(127)), 23));
}
// (p * 2^h) * 2^(n-h), h = floor(n / 2), for whole n.
THAW_INLINE Lanes16 scale_by_power(Lanes16 p, const Lanes16& n) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int32x4_t whole = vcvtnq_s32_f32(n.v[i]);
    const int32x4_t half = vshrq_n_s32(whole, 1);
    p.v[i] = vmulq_f32(vmulq_f32(p.v[i], power_of_two(half)), power_of_two(vsubq_s32(whole, half)));
  }
  return p;
}
// p * 2^n for whole n, where p and the product are normal. NaN stays NaN where n is NaN, too.
THAW_INLINE Lanes16 move_exponent(Lanes16 p, const Lanes16& n) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int32x4_t moved = vshlq_n_s32(vcvtnq_s32_f32(n.v[i]), 23);  // of NaN: 0
    p.v[i] = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p.v[i]), moved));
  }
  return p;
}
// y, but +0 in lanes where x < limit.
THAW_INLINE Lanes16 zero_below(const Lanes16& x, float limit, const Lanes16& y) {
  Lanes16 kept;
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t below = vcltq_f32(x.v[i], vdupq_n_f32(limit));
    kept.v[i] = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(y.v[i]), below));
  }
  return kept;
}
// Bit i: lane i of a equals b's.
THAW_INLINE std::uint32_t equal_mask(const Lanes16& a, const Lanes16& b) {
  const uint32_t bits[4] = {1, 2, 4, 8};
  const uint32x4_t each = vld1q_u32(bits);
  std::uint32_t mask = 0;
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    mask |= vaddvq_u32(vandq_u32(vceqq_f32(a.v[i], b.v[i]), each)) << (4 * i);
  }
  return mask;
}

// Sixteen pairs apart: even gets from[0], from[2] ..., odd from[1], from[3] ...
THAW_INLINE void load_pairs(const float* from, Lanes16& even, Lanes16& odd) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float32x4x2_t pairs = vld2q_f32(from + 8 * i);
    even.v[i] = pairs.val[0];
    odd.v[i] = pairs.val[1];
  }
}
THAW_INLINE void store_pairs(const Lanes16& even, const Lanes16& odd, float* to) {
  THAW_UNROLL
  for (int i = 0; i < 4; ++i) vst2q_f32(to + 8 * i, {{even.v[i], odd.v[i]}});
}
