#include "kernels/scalar.h"

#include <algorithm>
#include <cmath>

#include "kernels/scalar_attend.h"
#include "kernels/scalar_matmul.h"

namespace thaw::kernels {
namespace scalar {

// The tree over sixteen partial sums.
float tree(const float (&p)[16]) {
  float sum[16];
  std::copy(std::begin(p), std::end(p), sum);
  for (int apart = 8; apart > 0; apart /= 2) {
    for (int i = 0; i < apart; ++i) sum[i] = sum[i] + sum[i + apart];
  }
  return sum[0];
}

// 2^exponent for a normal result.
float power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23);
}

float exp_of(float x) {
  if (std::isnan(x)) return x;
  const float c = std::min(std::max(x, -104.0f), 89.0f);
  const float n = std::rint(c * 0x1.715476p+0f);
  float r = std::fma(n, -0x1.62e400p-1f, c);
  r = std::fma(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.a0d2cep-13f;
  for (const float k : {0x1.6e879cp-10f, 0x1.111210p-7f, 0x1.555382p-5f, 0x1.555554p-3f, 0.5f}) {
    p = std::fma(p, r, k);
  }
  p = std::fma(p, r * r, r);
  p = p + 1.0f;
  const int whole = static_cast<int>(n);
  const int half = static_cast<int>(std::floor(n * 0.5f));
  return (p * power_of_two(half)) * power_of_two(whole - half);
}

}  // namespace scalar

namespace {

void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* y) {
  float p[16] = {};
  for (std::size_t i = 0; i < dim; ++i) p[i % 16] = std::fma(x[i], x[i], p[i % 16]);
  const float mean = scalar::tree(p) / static_cast<float>(dim);
  const float r = 1.0f / std::sqrt(mean + epsilon);
  for (std::size_t i = 0; i < dim; ++i) y[i] = (x[i] * r) * weight[i];
}

void add(float* x, const float* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) x[i] = x[i] + y[i];
}

void silu_mul(const float* gate, const float* up, float* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const float g = gate[i];
    y[i] = (g / (1.0f + scalar::exp_of(-g))) * up[i];
  }
}

void exp_all(const float* x, float* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) y[i] = scalar::exp_of(x[i]);
}

void rope(float* x, const float* cosine, const float* sine, std::size_t pairs, bool interleaved) {
  for (std::size_t i = 0; i < pairs; ++i) {
    float& first = interleaved ? x[2 * i] : x[i];
    float& second = interleaved ? x[2 * i + 1] : x[pairs + i];
    const float a = first;
    const float b = second;
    first = std::fma(a, cosine[i], -(b * sine[i]));
    second = std::fma(a, sine[i], b * cosine[i]);
  }
}

std::size_t argmax(const float* x, std::size_t count) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < count; ++i) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

constexpr KernelSet kScalar = {
    .name = "scalar",
    .token_block = [](std::size_t) -> std::size_t { return 1; },
    .tile_panels = [](std::size_t) -> std::size_t { return 1; },
    .packed_bytes = scalar::packed_bytes,
    .pack = scalar::pack,
    .scratch_bytes = scalar::scratch_bytes,
    .matmul = scalar::matmul,
    .rms_norm = rms_norm,
    .add = add,
    .silu_mul = silu_mul,
    .exp = exp_all,
    .rope = rope,
    .argmax = argmax,
    .store_kv = scalar::store_kv,
    .attend_split = scalar::attend_split,
    .attend_scratch_bytes = scalar::attend_scratch_bytes,
    .attend_merge = scalar::attend_merge,
};

}  // namespace

const KernelSet& scalar_set() { return kScalar; }

}  // namespace thaw::kernels
