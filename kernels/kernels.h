// The arithmetic of a forward pass, one table of functions for each instruction set. What each
// function computes, to the bit, is ARITHMETIC.md: every set gives the same bits as "scalar".
//
// Every function is pure: it reads its inputs, writes its outputs, and does nothing else. None
// allocates, starts a thread, or fails; a broken precondition is a bug and aborts or worse. Inputs
// need no alignment unless said; sizes may be ragged. Outputs do not overlap inputs unless said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/kind.h"

namespace thaw::kernels {

// The version of ARITHMETIC.md; snapshots and prefixes carry it.
inline constexpr std::uint32_t kArithmeticVersion = 2;

// The inputs of a matrix product: token t's row is x[t * stride .. + cols).
struct Activations {
  const float* x = nullptr;  // [tokens, stride]; read for float kinds, and by pack()
  std::size_t stride = 0;    // floats, >= cols
  std::size_t tokens = 0;
  std::size_t cols = 0;               // a multiple of 32 unless only float kinds read it
  std::size_t refined = 0;            // groups of a token with a second term; kRefineAll: all
  const std::byte* packed = nullptr;  // what pack() wrote; read for quantised kinds
};

inline constexpr std::size_t kRefineAll = ~std::size_t{0};
inline constexpr std::size_t kRefinedMax = 16;  // of Activations::refined where it is not all
inline constexpr std::size_t kPackedColsMax = 131072;  // columns of an input that is packed

inline constexpr std::uint32_t kKvBlockPositions = 64;  // positions of one KV block
inline constexpr std::uint32_t kSplitPositions = 512;   // positions of one softmax split

// One layer's keys and values, in blocks of 64 absolute positions. A block holds, f16:
//   keys    [kv_heads][4 panels][key_dim][16 positions]      (a lane is a position)
//   values  [kv_heads][64 positions][value_stride()]         (a lane is a channel; padding zero)
struct KvShape {
  std::uint32_t kv_heads = 0;
  std::uint32_t key_dim = 0;    // any size > 0
  std::uint32_t value_dim = 0;  // any size > 0

  constexpr std::size_t value_stride() const { return (value_dim + 15u) & ~std::size_t{15}; }
  std::size_t key_bytes() const { return std::size_t{2} * kv_heads * kKvBlockPositions * key_dim; }
  std::size_t value_bytes() const {
    return std::size_t{2} * kv_heads * kKvBlockPositions * value_stride();
  }
  std::size_t block_bytes() const { return key_bytes() + value_bytes(); }  // a multiple of 128
};

// Queries of consecutive positions for the query heads that share one kv head.
struct Queries {
  const float* q = nullptr;  // query of (token t, head h): q + t * stride + h * key_dim
  std::size_t stride = 0;    // floats
  std::uint32_t tokens = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_head = 0;
  std::uint32_t first_position = 0;  // of token 0; token t attends to [0, first_position + t]
  float scale = 0;                   // scores are scale * (q . k)
  const std::byte* const* blocks = nullptr;  // the layer's KV: block b has positions 64*b ...
                                             // 64-byte aligned each

  std::size_t count() const { return std::size_t{tokens} * heads; }
  // Splits that the last token needs.
  std::uint32_t splits() const { return (first_position + tokens - 1) / kSplitPositions + 1; }
};

// Floats that one split's partial results of one query take: maximum, sum, 14 unused, then the
// weighted values [value_stride()].
constexpr std::size_t partial_floats(const KvShape& shape) { return 16 + shape.value_stride(); }

struct KernelSet {
  // "scalar", "avx2", "avx2-vnni", "avx512", "neon", "neon-i8mm": as THAW_KERNELS has it
  std::string_view name;

  // --- matrix products ---
  // Quantises activations to s8 in groups of 32 (ARITHMETIC.md, "activations") in the set's own
  // packed layout. Inputs of so many tokens are packed in blocks of token_block(tokens); different
  // blocks may be packed by different threads.
  std::size_t (*token_block)(std::size_t tokens);
  // Panels that matmul takes at once for so many tokens: pieces of work that are multiples of it
  // waste nothing.
  std::size_t (*tile_panels)(std::size_t tokens);
  // Bytes of the packed form of [tokens, cols] with `refined` as in Activations, to be 64-byte
  // aligned.
  std::size_t (*packed_bytes)(std::size_t tokens, std::size_t cols, std::size_t refined);
  // Packs blocks [block_begin, block_end) of `in` (from token block * token_block(in.tokens) on)
  // into `packed`, the start of the whole packed form.
  void (*pack)(const Activations& in, std::size_t block_begin, std::size_t block_end,
               std::byte* packed);
  // Scratch bytes that matmul wants from its caller, one piece per thread, 64-byte aligned.
  std::size_t (*scratch_bytes)(Kind kind, std::size_t cols, std::size_t tokens);
  // y[t * y_stride + r] = sum over k of w[r][k] * x[t][k], for the rows of panels [begin, end).
  // Rows >= w.rows are not written. Precondition: w.cols == in.cols.
  void (*matmul)(const Matrix& w, std::size_t panel_begin, std::size_t panel_end,
                 const Activations& in, float* y, std::size_t y_stride, std::byte* scratch);

  // --- vectors ---
  // y[i] = (x[i] * r) * weight[i], r = 1 / sqrt(mean of squares + epsilon). y may be x.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, std::size_t dim, float* y);
  // x[i] += y[i]
  void (*add)(float* x, const float* y, std::size_t count);
  // y[i] = silu(gate[i]) * up[i]. y may be gate or up.
  void (*silu_mul)(const float* gate, const float* up, float* y, std::size_t count);
  // y[i] = exp(x[i]). y may be x.
  void (*exp)(const float* x, float* y, std::size_t count);
  // Rotates pairs of x[0 .. 2*pairs): (x[2i], x[2i+1]) where `interleaved`, else
  // (x[i], x[pairs+i]).
  //   cosine, sine [pairs]
  void (*rope)(float* x, const float* cosine, const float* sine, std::size_t pairs,
               bool interleaved);
  // The maximum of x and the lowest index that has it; count > 0, no NaN.
  std::size_t (*argmax)(const float* x, std::size_t count);

  // --- attention ---
  // Rounds keys [kv_heads * key_dim] and values [kv_heads * value_dim] of one position to f16 into
  // its place (position % 64) in a block, with the zeros of the values' padding.
  void (*store_kv)(const KvShape& shape, const float* keys, const float* values,
                   std::uint32_t position, std::byte* block);
  // One split's partial results for each query: maximum score, sum of weights, weighted values.
  // Positions that a query does not see may hold anything, NaN too.
  //   partials [count()][partial_floats()]; for a query that sees nothing of this split, untouched
  //   scratch  attend_scratch_bytes(shape, count()) bytes, 64-byte aligned
  void (*attend_split)(const KvShape& shape, const Queries& queries, std::uint32_t split,
                       float* partials, std::byte* scratch);
  std::size_t (*attend_scratch_bytes)(const KvShape& shape, std::size_t queries);
  // Merges the splits, in ascending order, and writes the attended values.
  //   partials of split s at partials + s * count() * partial_floats()
  //   y  of (token t, head h) at y + t * y_stride + h * value_dim
  void (*attend_merge)(const KvShape& shape, const Queries& queries, const float* partials,
                       float* y, std::size_t y_stride);
};

// cos and sin of phases (turn / 2^32), ARITHMETIC.md "sine and cosine". Not per set: a token needs
// one per pair, once for all layers.
void cos_sin(std::span<const std::uint32_t> phases, float* cosine, float* sine);

// The phase of `position` for a frequency in turns / 2^64 per position: wraps as it should.
constexpr std::uint32_t phase_at(std::uint64_t turns, std::uint32_t position) {
  return static_cast<std::uint32_t>((turns * position) >> 32);
}

// The sets this machine can run, fastest first, "scalar" last.
std::span<const KernelSet* const> available();
// The best set, or the one called `name` if `name` is not empty.
// Errors: kUnsupported, naming the sets that could be had.
Result<const KernelSet*> select(std::string_view name);

}  // namespace thaw::kernels
