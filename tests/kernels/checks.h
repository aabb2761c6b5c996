// Comparisons of one kernel set with another (the scalar one), to the bit, over sizes and data that
// vector code gets wrong. Each check gives the first difference in words, or nothing; so a test can
// also show that a wrong set is caught.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"

namespace thaw::kernels::test {

inline constexpr std::uint64_t kSeed = 20240229;  // every check starts from it

// Bytes at an alignment of 64 with nothing behind them, so that a sanitizer sees any overrun.
class Aligned {
 public:
  explicit Aligned(std::size_t size, int fill = 0)
      : bytes_(static_cast<std::byte*>(::operator new (size, std::align_val_t{64}))), size_(size) {
    std::memset(bytes_.get(), fill, size);
  }
  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::size_t size_;
};

// What outputs are filled with before a function runs: no function gives these bits, so what is
// still there was not written.
inline constexpr float kUntouched = -0x1.8badcap+77f;

// Equal bits, or both NaN (sign and payload of NaN are not specified).
bool same(float a, float b);
// The first place where they differ, in words; nothing where none does.
std::string difference(std::span<const float> found, std::span<const float> wanted);

// How the integers and scales of a test's matrix are chosen.
enum class Weights {
  kRandom,
  kLargest,      // every integer and sub-scale the largest that its bits hold
  kSmallest,     // ... the smallest: -128 for those with a sign
  kAlternating,  // the two in turn, along columns and along rows
  kZeroScales,
  kDenormalScales,
  kHugeScales,      // the largest f16
  kAnyScales,       // any finite bits
  kInfiniteScales,  // some infinite, some NaN
};
inline constexpr Weights kAllWeights[] = {
    Weights::kRandom,      Weights::kLargest,    Weights::kSmallest,
    Weights::kAlternating, Weights::kZeroScales, Weights::kDenormalScales,
    Weights::kHugeScales,  Weights::kAnyScales,  Weights::kInfiniteScales,
};

struct TestMatrix {
  Kind kind;
  std::uint32_t rows;
  std::uint32_t cols;
  std::vector<std::byte> row_bytes;  // the rows layout
  Aligned panels;

  Matrix view() const { return {kind, rows, cols, panels.data()}; }
};

TestMatrix make_matrix(Kind kind, std::uint32_t rows, std::uint32_t cols, Weights weights,
                       Random& random);

// Inputs that are hard to quantise, each in turn by `pattern`.
inline constexpr std::size_t kInputPatterns = 16;
void fill_input(std::size_t pattern, Random& random, std::span<float> x);

// The checks. `set` against scalar_set().
std::string check_matmul_shapes(const KernelSet& set, Kind kind);    // rows, cols, tokens, strides
std::string check_matmul_sizes(const KernelSet& set, Kind kind);     // beyond what caches hold
std::string check_matmul_patterns(const KernelSet& set, Kind kind);  // extreme weights and inputs
std::string check_matmul_splits(const KernelSet& set, Kind kind);    // panels and blocks apart
std::string check_rms_norm(const KernelSet& set);
std::string check_add(const KernelSet& set);
std::string check_silu_mul(const KernelSet& set);
std::string check_exp(const KernelSet& set);
std::string check_rope(const KernelSet& set);
std::string check_argmax(const KernelSet& set);
std::string check_store_kv(const KernelSet& set);
std::string check_attention_dims(const KernelSet& set);      // head sizes, heads, kv heads
std::string check_attention_contexts(const KernelSet& set);  // first positions, tokens, splits
std::string check_attention_extremes(const KernelSet& set);  // huge, infinite, NaN
std::string check_attention_chunks(const KernelSet& set);    // tokens together and one by one

}  // namespace thaw::kernels::test
