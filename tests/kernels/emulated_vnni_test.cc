// The emulated vpdpbusd is the instruction's definition, and the processor's where it has it.
#include "kernels/emulated_vnni.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "base/random.h"
#include "kernels/kernels.h"

namespace thaw::kernels {
namespace {

constexpr std::uint64_t kSeed = 11;

struct Operands {
  alignas(32) std::array<std::int32_t, 8> sums;
  alignas(32) std::array<std::uint8_t, 32> u;
  alignas(32) std::array<std::int8_t, 32> s;
};
using Sums = std::array<std::int32_t, 8>;

// By the definition: modulo 2^32, as unsigned numbers wrap.
Sums defined(const Operands& from) {
  Sums to;
  for (std::size_t i = 0; i < 8; ++i) {
    auto sum = static_cast<std::uint32_t>(from.sums[i]);
    for (std::size_t j = 4 * i; j < 4 * i + 4; ++j) {
      sum += static_cast<std::uint32_t>(from.u[j] * from.s[j]);
    }
    to[i] = static_cast<std::int32_t>(sum);
  }
  return to;
}

__attribute__((target("avx2"))) __m256i at(const void* from) {
  return _mm256_load_si256(static_cast<const __m256i*>(from));
}

__attribute__((target("avx2"))) Sums emulated_sums(const Operands& from) {
  alignas(32) Sums to;
  _mm256_store_si256(reinterpret_cast<__m256i*>(to.data()),
                     emulated::dpbusd(at(&from.sums), at(&from.u), at(&from.s)));
  return to;
}

__attribute__((target("avx2,avxvnni"))) Sums processor_sums(const Operands& from) {
  alignas(32) Sums to;
  _mm256_store_si256(reinterpret_cast<__m256i*>(to.data()),
                     _mm256_dpbusd_avx_epi32(at(&from.sums), at(&from.u), at(&from.s)));
  return to;
}

void expect_defined(const Operands& from) {
  const Sums wanted = defined(from);
  ASSERT_EQ(emulated_sums(from), wanted);
  if (select("avx2-vnni").has_value()) {
    ASSERT_EQ(processor_sums(from), wanted);
  }
}

// Each byte of each operand beside neighbours of either extreme, whose sums of pairs do not fit 16
// bits.
TEST(EmulatedVnni, IsExactForEveryPairOfBytes) {
  if (!select("avx2").has_value()) return;
  for (int u = 0; u < 256; ++u) {
    for (int s = -128; s < 128; ++s) {
      Operands operands;
      for (std::size_t i = 0; i < 32; ++i) {
        const bool here = i % 4 == i / 8;  // another byte in every second dword
        const bool low = i / 4 % 2 == 0;
        operands.u[i] = static_cast<std::uint8_t>(here ? u : 255);
        operands.s[i] = static_cast<std::int8_t>(here ? s : low ? -128 : 127);
        operands.sums[i / 4] = 0;
      }
      expect_defined(operands);
    }
  }
}

TEST(EmulatedVnni, WrapsWhereASumDoesNotFit) {
  if (!select("avx2").has_value()) return;
  Random random(kSeed);
  for (int round = 0; round < 10000; ++round) {
    Operands operands;
    for (std::size_t i = 0; i < 32; ++i) {
      operands.u[i] = static_cast<std::uint8_t>(random.next());
      operands.s[i] = static_cast<std::int8_t>(random.next());
      const auto near = static_cast<std::int32_t>(random.below(100000));
      operands.sums[i / 4] = i % 8 < 4 ? INT32_MAX - near : INT32_MIN + near;
    }
    expect_defined(operands);
  }
}

}  // namespace
}  // namespace thaw::kernels
