// Where things lie in the panels layout (kind.h), and the scales of a group as sixteen lanes.
// Included inside a set's target region, after its lanes and its `sub_scales`.

// Blocks of one kind: offsets in bytes from a block's start.
template <Kind kKind>
struct Layout;
template <>
struct Layout<Kind::kQ8> {
  static constexpr std::size_t kBlock = 544, kGroups = 1, kGroup = 512, kScale = 512;
};
template <>
struct Layout<Kind::kQ4> {
  static constexpr std::size_t kBlock = 288, kGroups = 1, kGroup = 256, kScale = 256;
};
template <>
struct Layout<Kind::kQ4m> {
  static constexpr std::size_t kBlock = 320, kGroups = 1, kGroup = 256, kScale = 256,
                               kMinimum = 288;
};
template <>
struct Layout<Kind::kQ4k> {
  static constexpr std::size_t kBlock = 2304, kGroups = 8, kGroup = 256, kScale = 2048,
                               kMinimum = 2080, kSub = 2112;
};
template <>
struct Layout<Kind::kQ5k> {
  static constexpr std::size_t kBlock = 2816, kGroups = 8, kGroup = 256, kHigh = 2048,
                               kScale = 2560, kMinimum = 2592, kSub = 2624;
};
template <>
struct Layout<Kind::kQ6k> {
  static constexpr std::size_t kBlock = 3360, kGroups = 8, kGroup = 256, kHigh = 2048,
                               kSubScale = 3072, kScale = 3328;
};

constexpr bool has_minimum(Kind kind) { return kind != Kind::kQ8 && kind != Kind::kQ6k; }

// The block that holds group g of a panel.
template <Kind kKind>
THAW_INLINE const std::byte* block_of(const std::byte* panel, std::size_t g) {
  return panel + g / Layout<kKind>::kGroups * Layout<kKind>::kBlock;
}
// The nibbles (q8: bytes) of group g.
template <Kind kKind>
THAW_INLINE const std::byte* codes_of(const std::byte* panel, std::size_t g) {
  return block_of<kKind>(panel, g) + g % Layout<kKind>::kGroups * Layout<kKind>::kGroup;
}
// The plane of high bits of group g: q5k one line, q6k two.
template <Kind kKind>
THAW_INLINE const std::byte* high_of(const std::byte* panel, std::size_t g) {
  if constexpr (kKind == Kind::kQ5k || kKind == Kind::kQ6k) {
    constexpr std::size_t kBytes = kKind == Kind::kQ5k ? 64 : 128;
    return block_of<kKind>(panel, g) + Layout<kKind>::kHigh + g % 8 * kBytes;
  } else {
    return nullptr;
  }
}

// D and M of a group; M is zero for kinds without.
struct Scales {
  Lanes16 scale, minimum;
};

template <Kind kKind>
THAW_INLINE Scales scales_of(const std::byte* panel, std::size_t g) {
  const std::byte* block = block_of<kKind>(panel, g);
  const Lanes16 scale = Lanes16::load_f16(block + Layout<kKind>::kScale);
  if constexpr (kKind == Kind::kQ4) {
    return {scale, mul(scale, Lanes16::set1(-8.0f))};
  } else if constexpr (kKind == Kind::kQ4m) {
    return {scale, Lanes16::load_f16(block + Layout<kKind>::kMinimum)};
  } else if constexpr (kKind == Kind::kQ4k || kKind == Kind::kQ5k) {
    const std::byte* sub = block + Layout<kKind>::kSub;
    Lanes16 sub_scale, sub_minimum;
    sub_scales(sub + g % 8 * 16, sub + 128 + g % 8 / 2 * 16, g % 2 == 0, sub_scale, sub_minimum);
    const Lanes16 minimum = Lanes16::load_f16(block + Layout<kKind>::kMinimum);
    return {mul(scale, sub_scale), negate(mul(minimum, sub_minimum))};
  } else {
    return {scale, Lanes16::zero()};
  }
}

// Activations: a group whose largest magnitude has bits below kSilenceBits (2^-100) is silence,
// from kHugeBits (2^100) on it counts as not finite.
inline constexpr std::uint32_t kSilenceBits = 27u << 23;
inline constexpr std::uint32_t kHugeBits = 227u << 23;

// The scale of a group whose largest magnitude has these bits.
THAW_INLINE float scale_of(std::uint32_t largest) {
  if (largest >= kHugeBits) return __builtin_nanf("");
  if (largest < kSilenceBits) return 0.0f;
  const float s = std::bit_cast<float>(largest) / 127.0f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(s) & ~3u);
}

// Ahead of the stream; further is no better for kinds whose scales lie beside their codes.
template <Kind kKind>
inline constexpr std::size_t kPrefetchBytes = 1024;

// Asks for the lines that lie kPrefetchBytes<kind> beyond group g. May run past the weights' end: a
// prefetch never faults.
template <Kind kKind>
THAW_INLINE void prefetch_group(const std::byte* panel, std::size_t g) {
  constexpr std::size_t kBytes = Layout<kKind>::kBlock / Layout<kKind>::kGroups;
  const char* ahead = reinterpret_cast<const char*>(panel) + g * kBytes + kPrefetchBytes<kKind>;
  THAW_UNROLL
  for (std::size_t at = 0; at < kBytes; at += 64) __builtin_prefetch(ahead + at);
}

// Some terms of a block: their groups, counted from `base`, and their packed groups.
struct Terms {
  const std::uint32_t* group;
  std::size_t count;
  std::size_t base;
  const std::byte* x;

  THAW_INLINE std::size_t at(std::size_t i) const { return group[i] - base; }
};
