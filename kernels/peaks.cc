#include "kernels/peaks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/target.h"

namespace thaw::kernels {
namespace {

constexpr std::size_t kReadBytes = 256u << 20;  // several times the caches of one processor
constexpr std::size_t kReadPieces = 64;
constexpr int kIntegerRounds = 400000;
// Independent accumulators: enough to hide a multiply-add's latency of four or five cycles at two
// a cycle, few enough to stay in sixteen registers.
// Their loops are unrolled whole, or the compiler would keep the array in memory.
constexpr int kAccumulators = 12;

double seconds_of(const auto& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Empty assembly that "changes" a register: the compiler must not see that nobody uses the results.
// It is spelled out, since a function of its own would need the target of its caller.

#if defined(__x86_64__)

// kStreams equal parts side by side: the processor reads ahead in each of them.
template <std::size_t kStreams>
__attribute__((target("avx2"))) void read_all(const std::byte* from, std::size_t bytes) {
  __m256i sum[4] = {};
  const std::size_t part_bytes = bytes / kStreams;
  for (std::size_t i = 0; i + 128 <= part_bytes; i += 128) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* at = from + stream * part_bytes + i;
      THAW_UNROLL
      for (std::size_t j = 0; j < 4; ++j) {
        sum[j] = _mm256_xor_si256(
            sum[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32 * j)));
      }
    }
  }
  THAW_UNROLL
  for (__m256i& part : sum) asm volatile("" : "+x"(part));
}

// vpmaddubsw and vpaddw, as the products of 4-bit weights use them: 64 operations the pair.
__attribute__((target("avx2"))) double integer_avx2(int rounds) {
  __m256i sum[kAccumulators] = {};
  __m256i u = _mm256_set1_epi8(3);
  __m256i s = _mm256_set1_epi8(-2);
  for (int round = 0; round < rounds; ++round) {
    THAW_UNROLL
    for (__m256i& part : sum) {
      asm volatile("" : "+x"(u));  // else one product would serve all sums
      part = _mm256_add_epi16(part, _mm256_maddubs_epi16(u, s));
      asm volatile("" : "+x"(part));
    }
  }
  THAW_UNROLL
  for (__m256i& part : sum) asm volatile("" : "+x"(part));
  return 64.0 * kAccumulators * rounds;
}

__attribute__((target("avx2,avxvnni"))) double integer_avx2_vnni(int rounds) {
  __m256i sum[kAccumulators] = {};
  const __m256i u = _mm256_set1_epi8(3);
  const __m256i s = _mm256_set1_epi8(-2);
  for (int round = 0; round < rounds; ++round) {
    THAW_UNROLL
    for (__m256i& part : sum) {
      part = _mm256_dpbusd_avx_epi32(part, u, s);
      asm volatile("" : "+x"(part));
    }
  }
  THAW_UNROLL
  for (__m256i& part : sum) asm volatile("" : "+x"(part));
  return 64.0 * kAccumulators * rounds;
}

__attribute__((target("avx512f,avx512vnni"))) double integer_avx512(int rounds) {
  __m512i sum[kAccumulators] = {};
  __m512i u = _mm512_set1_epi8(3);
  __m512i s = _mm512_set1_epi8(-2);
  for (int round = 0; round < rounds; ++round) {
    THAW_UNROLL
    for (__m512i& part : sum) {
      part = _mm512_dpbusd_epi32(part, u, s);
      asm volatile("" : "+v"(part));
    }
  }
  THAW_UNROLL
  for (__m512i& part : sum) asm volatile("" : "+v"(part));
  return 128.0 * kAccumulators * rounds;
}

double integer_operations(std::string_view set, int rounds) {
  if (set == "avx512") return integer_avx512(rounds);
  if (set == "avx2-vnni") return integer_avx2_vnni(rounds);
  if (set == "avx2") return integer_avx2(rounds);
  return 0;
}

#elif defined(__aarch64__)

template <std::size_t kStreams>
void read_all(const std::byte* from, std::size_t bytes) {
  uint8x16_t sum[4] = {};
  const std::size_t part_bytes = bytes / kStreams;
  for (std::size_t i = 0; i + 64 <= part_bytes; i += 64) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const auto* at = reinterpret_cast<const std::uint8_t*>(from + stream * part_bytes + i);
      THAW_UNROLL
      for (std::size_t j = 0; j < 4; ++j) sum[j] = veorq_u8(sum[j], vld1q_u8(at + 16 * j));
    }
  }
  THAW_UNROLL
  for (uint8x16_t& part : sum) asm volatile("" : "+w"(part));
}

__attribute__((target("arch=armv8.2-a+dotprod"))) double integer_dotprod(int rounds) {
  int32x4_t sum[kAccumulators] = {};
  int8x16_t a = vdupq_n_s8(3);
  const int8x16_t b = vdupq_n_s8(-2);
  for (int round = 0; round < rounds; ++round) {
    THAW_UNROLL
    for (int32x4_t& part : sum) {
      part = vdotq_s32(part, a, b);
      asm volatile("" : "+w"(part));
    }
  }
  THAW_UNROLL
  for (int32x4_t& part : sum) asm volatile("" : "+w"(part));
  return 32.0 * kAccumulators * rounds;
}

__attribute__((target("arch=armv8.2-a+dotprod+i8mm"))) double integer_i8mm(int rounds) {
  int32x4_t sum[kAccumulators] = {};
  int8x16_t a = vdupq_n_s8(3);
  const int8x16_t b = vdupq_n_s8(-2);
  for (int round = 0; round < rounds; ++round) {
    THAW_UNROLL
    for (int32x4_t& part : sum) {
      part = vmmlaq_s32(part, a, b);
      asm volatile("" : "+w"(part));
    }
  }
  THAW_UNROLL
  for (int32x4_t& part : sum) asm volatile("" : "+w"(part));
  return 64.0 * kAccumulators * rounds;
}

double integer_operations(std::string_view set, int rounds) {
  if (set == "neon-i8mm") return integer_i8mm(rounds);
  if (set == "neon") return integer_dotprod(rounds);
  return 0;
}

#endif

}  // namespace

double read_bytes_per_second(ThreadPool& pool) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) return 0;
#endif
  // Written once, so that every page is real memory and not the shared page of zeros.
  const std::vector<std::byte> memory(kReadBytes, std::byte{1});
  const std::size_t piece = kReadBytes / kReadPieces;
  double best = INFINITY;
  for (void (*const read)(const std::byte*, std::size_t) :
       {read_all<1>, read_all<2>, read_all<4>, read_all<8>}) {
    for (int i = 0; i < 3; ++i) {
      best = std::min(best, seconds_of([&] {
                        pool.run(kReadPieces, [&](std::size_t task, unsigned) {
                          read(memory.data() + task * piece, piece);
                        });
                      }));
    }
  }
  return static_cast<double>(kReadBytes) / best;
}

double integer_operations_per_second(const KernelSet& set, ThreadPool& pool) {
  if (integer_operations(set.name, 1) == 0) return 0;
  const std::size_t threads = pool.threads();
  const auto work = [&] {
    pool.run(threads * 8,
             [&](std::size_t, unsigned) { integer_operations(set.name, kIntegerRounds / 8); });
  };
  double best = seconds_of(work);
  for (int i = 0; i < 4; ++i) best = std::min(best, seconds_of(work));
  return static_cast<double>(threads) * integer_operations(set.name, 1) * kIntegerRounds / best;
}

}  // namespace thaw::kernels
