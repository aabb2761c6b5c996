// Norms, activations, rope and the like over Lanes16: what ARITHMETIC.md says under "vectors" and
// "rope". Included inside a set's target region, after its lanes.

// The first `count` floats, then zeros; count < 16.
THAW_INLINE Lanes16 load_some(const float* from, std::size_t count) {
  alignas(64) float lanes[16] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return Lanes16::load(lanes);
}

THAW_INLINE void store_some(Lanes16 x, float* to, std::size_t count) {
  alignas(64) float lanes[16];
  x.store(lanes);
  std::memcpy(to, lanes, count * sizeof(float));
}

// exp(c) = fraction * 2^n, n whole, for c in exp's range. NaN goes through.
THAW_INLINE Lanes16 exp_fraction(Lanes16 c, Lanes16& n) {
  n = round(mul(c, Lanes16::set1(0x1.715476p+0f)));
  Lanes16 r = fma(n, Lanes16::set1(-0x1.62e400p-1f), c);
  r = fma(n, Lanes16::set1(-0x1.7f7d1cp-20f), r);
  Lanes16 p = Lanes16::set1(0x1.a0d2cep-13f);
  p = fma(p, r, Lanes16::set1(0x1.6e879cp-10f));
  p = fma(p, r, Lanes16::set1(0x1.111210p-7f));
  p = fma(p, r, Lanes16::set1(0x1.555382p-5f));
  p = fma(p, r, Lanes16::set1(0x1.555554p-3f));
  p = fma(p, r, Lanes16::set1(0x1.000000p-1f));
  p = fma(p, mul(r, r), r);
  return add(p, Lanes16::set1(1.0f));
}

THAW_INLINE Lanes16 exp_lanes(Lanes16 x) {
  // NaN is every operation's second operand here, and so goes through.
  const Lanes16 c = min(Lanes16::set1(89.0f), max(Lanes16::set1(-104.0f), x));
  Lanes16 n;
  const Lanes16 p = exp_fraction(c, n);
  return scale_by_power(p, n);
}

THAW_INLINE Lanes16 silu_mul_lanes(Lanes16 gate, Lanes16 up) {
  const Lanes16 one = Lanes16::set1(1.0f);
  return mul(div(gate, add(one, exp_lanes(negate(gate)))), up);
}

void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* y) {
  Lanes16 sums = Lanes16::zero();
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const Lanes16 v = Lanes16::load(x + i);
    sums = fma(v, v, sums);
  }
  const std::size_t rest = dim - i;
  if (rest != 0) {
    const Lanes16 v = load_some(x + i, rest);
    sums = fma(v, v, sums);  // absent lanes add 0 * 0
  }
  const float mean = sums.tree() / static_cast<float>(dim);
  const Lanes16 r = Lanes16::set1(1.0f / __builtin_sqrtf(mean + epsilon));
  for (i = 0; i + 16 <= dim; i += 16) {
    mul(mul(Lanes16::load(x + i), r), Lanes16::load(weight + i)).store(y + i);
  }
  if (rest != 0) {
    store_some(mul(mul(load_some(x + i, rest), r), load_some(weight + i, rest)), y + i, rest);
  }
}

void add_vectors(float* x, const float* y, std::size_t count) {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) add(Lanes16::load(x + i), Lanes16::load(y + i)).store(x + i);
  const std::size_t rest = count - i;
  if (rest != 0) store_some(add(load_some(x + i, rest), load_some(y + i, rest)), x + i, rest);
}

void silu_mul(const float* gate, const float* up, float* y, std::size_t count) {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    silu_mul_lanes(Lanes16::load(gate + i), Lanes16::load(up + i)).store(y + i);
  }
  const std::size_t rest = count - i;
  if (rest != 0) {
    store_some(silu_mul_lanes(load_some(gate + i, rest), load_some(up + i, rest)), y + i, rest);
  }
}

void exp_vector(const float* x, float* y, std::size_t count) {
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) exp_lanes(Lanes16::load(x + i)).store(y + i);
  const std::size_t rest = count - i;
  if (rest != 0) store_some(exp_lanes(load_some(x + i, rest)), y + i, rest);
}

// (a, b) becomes (a*c - b*s, a*s + b*c), each with the rounding of its second product.
THAW_INLINE void rotate(Lanes16& a, Lanes16& b, Lanes16 c, Lanes16 s) {
  const Lanes16 first = fma(a, c, negate(mul(b, s)));
  b = fma(a, s, mul(b, c));
  a = first;
}

void rope(float* x, const float* cosine, const float* sine, std::size_t pairs, bool interleaved) {
  for (std::size_t i = 0; i < pairs; i += 16) {
    const std::size_t count = pairs - i < 16 ? pairs - i : 16;
    const bool whole = count == 16;
    const Lanes16 c = whole ? Lanes16::load(cosine + i) : load_some(cosine + i, count);
    const Lanes16 s = whole ? Lanes16::load(sine + i) : load_some(sine + i, count);
    Lanes16 a, b;
    if (interleaved && whole) {
      load_pairs(x + 2 * i, a, b);
      rotate(a, b, c, s);
      store_pairs(a, b, x + 2 * i);
    } else if (interleaved) {
      alignas(64) float buffer[32] = {};
      std::memcpy(buffer, x + 2 * i, 2 * count * sizeof(float));
      load_pairs(buffer, a, b);
      rotate(a, b, c, s);
      store_pairs(a, b, buffer);
      std::memcpy(x + 2 * i, buffer, 2 * count * sizeof(float));
    } else if (whole) {
      a = Lanes16::load(x + i);
      b = Lanes16::load(x + pairs + i);
      rotate(a, b, c, s);
      a.store(x + i);
      b.store(x + pairs + i);
    } else {
      a = load_some(x + i, count);
      b = load_some(x + pairs + i, count);
      rotate(a, b, c, s);
      store_some(a, x + i, count);
      store_some(b, x + pairs + i, count);
    }
  }
}

// The largest of x[0 .. count), no NaN among them; count > 0.
THAW_INLINE float largest_of(const float* x, std::size_t count) {
  Lanes16 top = Lanes16::set1(x[0]);
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) top = max(top, Lanes16::load(x + i));
  float largest = top.largest();
  for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// Two passes: finding the maximum's place while finding it would cost a blend for each lane.
std::size_t argmax(const float* x, std::size_t count) {
  const float largest = largest_of(x, count);
  const Lanes16 top = Lanes16::set1(largest);
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const std::uint32_t mask = equal_mask(Lanes16::load(x + i), top);
    if (mask != 0) return i + static_cast<std::size_t>(__builtin_ctz(mask));
  }
  while (i < count && x[i] != largest) ++i;
  return i;
}
