// Regions of a source compiled for an instruction set that the build as a whole does not assume:
//   THAW_TARGET_BEGIN("avx2,fma")  ...functions...  THAW_TARGET_END
// Standard headers belong before a region, else their inline functions would be compiled for it and
// the linker might keep that copy for everyone. No lambdas inside: clang forgets their target.
#pragma once

#define THAW_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define THAW_TARGET_BEGIN(features) \
  THAW_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define THAW_TARGET_END THAW_PRAGMA(clang attribute pop)
#define THAW_UNROLL THAW_PRAGMA(clang loop unroll(full))
#else
#define THAW_TARGET_BEGIN(features) THAW_PRAGMA(GCC push_options) THAW_PRAGMA(GCC target(features))
#define THAW_TARGET_END THAW_PRAGMA(GCC pop_options)
#define THAW_UNROLL THAW_PRAGMA(GCC unroll 16)
#endif

// For functions whose operands must stay in registers.
#define THAW_INLINE inline __attribute__((always_inline))
