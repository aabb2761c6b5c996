// vpdpbusd made of AVX2's instructions, exactly: no sum saturates. For emulated_avx2_vnni.cc and a
// test alone.
#pragma once

#include <immintrin.h>

#include "kernels/target.h"

namespace thaw::kernels::emulated {

THAW_TARGET_BEGIN("avx2")

// Of each dword: sums + u[0]*s[0] + u[1]*s[1] + u[2]*s[2] + u[3]*s[3], u unsigned, s signed, modulo
// 2^32. Bytes become words first: vpmaddubsw would saturate from u = 130 on.
THAW_INLINE __m256i dpbusd(__m256i sums, __m256i u, __m256i s) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(0xff)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
  return _mm256_add_epi32(sums, _mm256_add_epi32(even, odd));
}

THAW_TARGET_END

}  // namespace thaw::kernels::emulated
