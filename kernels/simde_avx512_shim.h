// AVX-512 intrinsics by SIMDe on AVX2, and those that SIMDe 0.7 lacks and avx512.cc uses. Included
// by simde_avx512.cc alone.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

namespace thaw::kernels::shim {

inline simde__m512 cvtepi32_ps(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m512_private to;
  for (int i = 0; i < 2; ++i) to.m256[i] = simde_mm256_cvtepi32_ps(from.m256i[i]);
  return simde__m512_from_private(to);
}
inline simde__m512i cvtps_epi32(simde__m512 a) {
  const simde__m512_private from = simde__m512_to_private(a);
  simde__m512i_private to;
  for (int i = 0; i < 2; ++i) to.m256i[i] = simde_mm256_cvtps_epi32(from.m256[i]);
  return simde__m512i_from_private(to);
}
inline simde__m512 cvtph_ps(simde__m256i a) {
  simde__m512_private to;
  to.m256[0] = simde_mm256_cvtph_ps(simde_mm256_extracti128_si256(a, 0));
  to.m256[1] = simde_mm256_cvtph_ps(simde_mm256_extracti128_si256(a, 1));
  return simde__m512_from_private(to);
}
// Always half to even: simde_mm256_cvtps_ph may not see its mode as a constant.
inline simde__m256i cvtps_ph(simde__m512 a) {
  const simde__m512_private from = simde__m512_to_private(a);
  return simde_mm256_set_m128i(simde_mm256_cvtps_ph(from.m256[1], 0),
                               simde_mm256_cvtps_ph(from.m256[0], 0));
}
inline simde__m512i cvtepu8_epi32(simde__m128i a) {
  simde__m512i_private to;
  to.m256i[0] = simde_mm256_cvtepu8_epi32(a);
  to.m256i[1] = simde_mm256_cvtepu8_epi32(simde_mm_bsrli_si128(a, 8));
  return simde__m512i_from_private(to);
}
inline simde__m512i cvtepi8_epi32(simde__m128i a) {
  simde__m512i_private to;
  to.m256i[0] = simde_mm256_cvtepi8_epi32(a);
  to.m256i[1] = simde_mm256_cvtepi8_epi32(simde_mm_bsrli_si128(a, 8));
  return simde__m512i_from_private(to);
}
inline simde__m512i cvtepu16_epi32(simde__m256i a) {
  simde__m512i_private to;
  to.m256i[0] = simde_mm256_cvtepu16_epi32(simde_mm256_extracti128_si256(a, 0));
  to.m256i[1] = simde_mm256_cvtepu16_epi32(simde_mm256_extracti128_si256(a, 1));
  return simde__m512i_from_private(to);
}
inline simde__m128i cvtepi32_epi8(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m128i_private to;
  for (int i = 0; i < 16; ++i) to.i8[i] = static_cast<signed char>(from.i32[i]);
  return simde__m128i_from_private(to);
}
inline simde__m512i srai_epi32(simde__m512i a, int bits) {
  simde__m512i_private both = simde__m512i_to_private(a);
  for (int i = 0; i < 2; ++i) both.m256i[i] = simde_mm256_srai_epi32(both.m256i[i], bits);
  return simde__m512i_from_private(both);
}

}  // namespace thaw::kernels::shim

#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi32_epi8
#undef _mm512_srai_epi32
#define _mm512_cvtepi32_ps(a) ::thaw::kernels::shim::cvtepi32_ps(a)
#define _mm512_cvtps_epi32(a) ::thaw::kernels::shim::cvtps_epi32(a)
#define _mm512_cvtph_ps(a) ::thaw::kernels::shim::cvtph_ps(a)
#define _mm512_cvtps_ph(a, mode) ::thaw::kernels::shim::cvtps_ph(a)
#define _mm512_cvtepu8_epi32(a) ::thaw::kernels::shim::cvtepu8_epi32(a)
#define _mm512_cvtepi8_epi32(a) ::thaw::kernels::shim::cvtepi8_epi32(a)
#define _mm512_cvtepu16_epi32(a) ::thaw::kernels::shim::cvtepu16_epi32(a)
#define _mm512_cvtepi32_epi8(a) ::thaw::kernels::shim::cvtepi32_epi8(a)
#define _mm512_srai_epi32(a, bits) ::thaw::kernels::shim::srai_epi32(a, bits)
