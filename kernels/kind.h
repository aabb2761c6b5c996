// Weight kinds and their two layouts. A kind is how a weight is coded: which planes (nibbles, high
// bits, scales, minima) and over which groups of columns.
//
// rows layout: the matrix row by row, each row a run of blocks as GGUF defines them (q8 = Q8_0,
//   q4 = Q4_0, q4m = Q4_1, q4k = Q4_K, q5k = Q5_K, q6k = Q6_K, floats plain). What importers read,
//   what an embedding table is kept in.
// panels layout: what the kernels read. 16 rows are interleaved into a panel; inside it, blocks of
//   `block_cols` columns follow one another, each holding its planes in the order below. Rows past
//   the last are zero. Blocks are 32-byte aligned, panels of one matrix contiguous.
//
//   "line j": 64 bytes, byte 4*r+i belongs to row r (0..15) of the panel, i in 0..3.
//   "step s": the four columns 4*s .. 4*s+3 of a group of 32; i selects among them.
//   One group of 32 columns:
//     nibbles  4 lines: line j, low nibble = step j, high nibble = step j+4
//     bytes    8 lines: line j = step j
//     high1    1 line:  bit s of a byte = step s
//     high2    2 lines: line h, bits 2*p, 2*p+1 = step 4*h+p
//   q8   block_cols 32:  bytes (s8) 512, scale f16[16] 32                            = 544
//   q4   block_cols 32:  nibbles 256, scale f16[16] 32                               = 288
//   q4m  block_cols 32:  nibbles 256, scale f16[16] 32, minimum f16[16] 32           = 320
//   q4k  block_cols 256: nibbles 8*256, scale f16[16] 32, minimum f16[16] 32, sub 192 = 2304
//   q5k  block_cols 256: nibbles 8*256, high1 8*64, scale 32, minimum 32, sub 192     = 2816
//   q6k  block_cols 256: nibbles 8*256, high2 8*128, sub_scale s8[16 halves][16 rows] 256,
//                        scale f16[16] 32                                            = 3360
//     sub (192 bytes): 6-bit sub-scales sc and sub-minima mn of 8 groups, 16 rows:
//       low  u8[8][16]: bits 0..3 = low four bits of sc, bits 4..7 = low four bits of mn  (128)
//       high u8[4][16]: row of high[g/2]: for even g bits 0..1 = high bits of sc, 2..3 = of mn;
//                       for odd g bits 4..5 and 6..7                                      (64)
//     q6k halves: half h of a block = its columns 16*h .. 16*h+15.
//   f32, f16, bf16  block_cols 1: value[16] (row r at index r)                = 64, 32, 32
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace thaw::kernels {

inline constexpr std::size_t kPanelRows = 16;   // a lane is a row: one zmm of int32, two ymm
inline constexpr std::size_t kGroupCols = 32;   // columns that share an activation scale
inline constexpr std::size_t kPanelAlign = 64;  // bytes; a cache line

enum class Kind : std::uint32_t {  // stored in snapshots: values never change
  kF32 = 0,
  kF16 = 1,
  kBf16 = 2,
  kQ8 = 8,
  kQ4 = 9,
  kQ4m = 10,
  kQ4k = 11,
  kQ5k = 12,
  kQ6k = 13,
};

struct KindInfo {
  Kind kind;
  std::string_view name;            // "q4m"
  std::uint32_t block_cols;         // columns of a block; a matrix's cols are a multiple of it
  std::uint32_t row_block_bytes;    // one row of a block in the rows layout
  std::uint32_t panel_block_bytes;  // 16 rows of a block in the panels layout
  bool is_float;                    // activations stay f32
};

// All kinds, in the order of their values.
std::span<const KindInfo> kinds();
// The kind's facts; nothing for a value that is no kind.
const KindInfo* find_kind(std::uint32_t value);
const KindInfo& info(Kind kind);
// Nothing for an unknown name.
std::optional<Kind> kind_named(std::string_view name);

// Bytes of a [rows, cols] matrix in each layout; nothing where cols is no multiple of the block or
// the product overflows.
std::optional<std::uint64_t> rows_bytes(Kind kind, std::uint64_t rows, std::uint64_t cols);
std::optional<std::uint64_t> panels_bytes(Kind kind, std::uint64_t rows, std::uint64_t cols);

// A matrix in the panels layout, in memory that others own.
struct Matrix {
  Kind kind = Kind::kF32;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  const std::byte* panels = nullptr;  // panels_bytes(kind, rows, cols), kPanelAlign-aligned

  std::size_t panel_count() const { return (rows + kPanelRows - 1) / kPanelRows; }
};

}  // namespace thaw::kernels
