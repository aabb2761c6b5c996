#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "checks.h"
#include "kernels/scalar.h"

namespace thaw::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::string describe(const KernelSet& set, const char* function, std::size_t count,
                     const std::string& found) {
  if (found.empty()) return found;
  return std::string(set.name) + " " + function + " count=" + std::to_string(count) +
         " seed=" + std::to_string(kSeed) + ": " + found;
}

// Every length up to four registers of sixteen and a bit, and a few long ones.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> all;
  for (std::size_t n = 1; n <= 67; ++n) all.push_back(n);
  for (const std::size_t n : {128, 576, 1000, 2049}) all.push_back(n);
  return all;
}

// A copy that ends where its memory ends and begins at any alignment of a float.
struct Floats {
  explicit Floats(std::span<const float> values, std::size_t offset = 0)
      : memory((values.size() + offset) * sizeof(float)),
        data(reinterpret_cast<float*>(memory.data()) + offset),
        size(values.size()) {
    std::copy(values.begin(), values.end(), data);
  }
  std::span<const float> view() const { return {data, size}; }

  Aligned memory;
  float* data;
  std::size_t size;
};

std::vector<float> patterned(std::size_t pattern, std::size_t count, Random& random) {
  std::vector<float> x(count);
  fill_input(pattern, random, x);
  return x;
}

}  // namespace

std::string check_rms_norm(const KernelSet& set) {
  Random random(kSeed + 3);
  for (const std::size_t n : lengths()) {
    for (std::size_t pattern = 0; pattern < kInputPatterns; ++pattern) {
      const std::size_t offset = (n + pattern) % 4;
      const Floats x(patterned(pattern, n, random), offset);
      const Floats weight(patterned(0, n, random), pattern % 3);
      std::vector<float> wanted(n);
      scalar_set().rms_norm(x.data, weight.data, 1e-5f, n, wanted.data());
      Floats y(std::vector<float>(n, kUntouched), (offset + 1) % 4);
      set.rms_norm(x.data, weight.data, 1e-5f, n, y.data);
      std::string text = difference(y.view(), wanted);
      if (text.empty()) {
        Floats in_place(x.view(), offset);
        set.rms_norm(in_place.data, weight.data, 1e-5f, n, in_place.data);
        text = difference(in_place.view(), wanted);
      }
      if (!text.empty()) return describe(set, "rms_norm", n, text);
    }
  }
  return {};
}

std::string check_add(const KernelSet& set) {
  Random random(kSeed + 4);
  for (const std::size_t n : lengths()) {
    const Floats x(patterned(n, n, random), n % 4);
    const Floats y(patterned(n / 2, n, random), n % 3);
    Floats wanted(x.view());
    scalar_set().add(wanted.data, y.data, n);
    Floats found(x.view(), n % 4);
    set.add(found.data, y.data, n);
    const std::string text = difference(found.view(), wanted.view());
    if (!text.empty()) return describe(set, "add", n, text);
  }
  return {};
}

std::string check_silu_mul(const KernelSet& set) {
  Random random(kSeed + 5);
  for (const std::size_t n : lengths()) {
    for (std::size_t pattern = 0; pattern < kInputPatterns; ++pattern) {
      const Floats gate(patterned(pattern, n, random), n % 4);
      const Floats up(patterned(pattern / 3, n, random), pattern % 4);
      std::vector<float> wanted(n);
      scalar_set().silu_mul(gate.data, up.data, wanted.data(), n);
      Floats y(std::vector<float>(n, kUntouched), 1);
      set.silu_mul(gate.data, up.data, y.data, n);
      Floats over_gate(gate.view(), 2);
      set.silu_mul(over_gate.data, up.data, over_gate.data, n);
      Floats over_up(up.view(), 3);
      set.silu_mul(gate.data, over_up.data, over_up.data, n);
      for (const Floats* found : {&y, &over_gate, &over_up}) {
        const std::string text = difference(found->view(), wanted);
        if (!text.empty()) return describe(set, "silu_mul", n, text);
      }
    }
  }
  return {};
}

std::string check_exp(const KernelSet& set) {
  std::vector<float> x = {0.0f,     -0.0f,   kInfinity, -kInfinity, kNan,      88.722839f,
                          88.73f,   89.0f,   89.1f,     0x1p+127f,  -87.336f,  -87.34f,
                          -103.97f, -104.0f, -104.5f,   -0x1p+127f, 0x1p-149f, -0x1p-126f};
  // Every exponent, both signs, many fractions: the step is odd, so low bits vary.
  for (std::uint64_t bits = 0; bits < 1ull << 32; bits += 30011) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  std::vector<float> wanted(x.size());
  scalar_set().exp(x.data(), wanted.data(), x.size());
  std::vector<float> found(x.size(), kUntouched);
  set.exp(x.data(), found.data(), x.size());
  std::string text = difference(found, wanted);
  if (!text.empty()) return describe(set, "exp", x.size(), text);
  for (const std::size_t n : lengths()) {
    Floats in_place(std::span<const float>(x).subspan(n, n), n % 4);
    set.exp(in_place.data, in_place.data, n);
    text = difference(in_place.view(), std::span<const float>(wanted).subspan(n, n));
    if (!text.empty()) return describe(set, "exp in place", n, text);
  }
  return {};
}

std::string check_rope(const KernelSet& set) {
  Random random(kSeed + 6);
  for (std::size_t pairs = 1; pairs <= 67; ++pairs) {
    for (const bool interleaved : {false, true}) {
      const Floats x(patterned(pairs, 2 * pairs, random), pairs % 4);
      const Floats cosine(random.floats(pairs), pairs % 3);
      const Floats sine(random.floats(pairs), 1);
      Floats wanted(x.view());
      scalar_set().rope(wanted.data, cosine.data, sine.data, pairs, interleaved);
      Floats found(x.view(), pairs % 4);
      set.rope(found.data, cosine.data, sine.data, pairs, interleaved);
      const std::string text = difference(found.view(), wanted.view());
      if (!text.empty())
        return describe(set, interleaved ? "rope interleaved" : "rope", pairs, text);
    }
  }
  return {};
}

namespace {

std::string compare_argmax(const KernelSet& set, std::span<const float> values,
                           std::size_t offset) {
  const Floats x(values, offset);
  const std::size_t wanted = scalar_set().argmax(x.data, x.size);
  const std::size_t found = set.argmax(x.data, x.size);
  if (found == wanted) return {};
  return describe(set, "argmax", x.size,
                  "found " + std::to_string(found) + ", wanted " + std::to_string(wanted));
}

}  // namespace

std::string check_argmax(const KernelSet& set) {
  Random random(kSeed + 7);
  for (std::size_t n = 1; n <= 131; ++n) {
    std::vector<std::vector<float>> cases = {random.floats(n), std::vector<float>(n, 0.5f),
                                             std::vector<float>(n, -kInfinity)};
    std::vector<float> few(n);  // ties everywhere
    for (float& v : few) v = static_cast<float>(random.below(3));
    std::vector<float> zeros(n);  // of both signs, which are equal
    for (float& v : zeros) v = random.below(2) == 0 ? 0.0f : -0.0f;
    std::vector<float> last(n, -1.0f);
    last.back() = kInfinity;
    std::vector<float> twice(n, -3.0f);
    twice[random.below(n)] = -2.0f;
    twice[random.below(n)] = -2.0f;
    cases.insert(cases.end(), {few, zeros, last, twice});
    for (const std::vector<float>& values : cases) {
      const std::string text = compare_argmax(set, values, n % 4);
      if (!text.empty()) return text;
    }
  }
  std::vector<float> vocabulary = random.floats(50000);
  vocabulary[49152] = vocabulary[31] = 2.0f;
  return compare_argmax(set, vocabulary, 1);
}

}  // namespace thaw::kernels::test
