// The whole of a set from its lanes and products. Included inside a set's target region, in an
// unnamed namespace: everything here exists once for each instruction set. No standard header may
// be included from here on (target.h).
// Each uses what stands before it.
// clang-format off
#include "kernels/vectors-inl.h"
#include "kernels/attend-inl.h"
#include "kernels/activations-inl.h"
#include "kernels/matmul-inl.h"
// clang-format on

constexpr KernelSet make_set(std::string_view name) {
  return {
      .name = name,
      .token_block = token_block,
      .tile_panels = tile_panels,
      .packed_bytes = packed_bytes,
      .pack = pack,
      .scratch_bytes = scratch_bytes,
      .matmul = matmul,
      .rms_norm = rms_norm,
      .add = add_vectors,
      .silu_mul = silu_mul,
      .exp = exp_vector,
      .rope = rope,
      .argmax = argmax,
      .store_kv = store_kv,
      .attend_split = attend_split,
      .attend_scratch_bytes = attend_scratch_bytes,
      .attend_merge = attend_merge,
  };
}
