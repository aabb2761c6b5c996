// One block of one row of a quantised kind, taken apart into its integers, and its two codings
// (kind.h). For pack.cc and quantise.cc; the kernels read panels by themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kind.h"

namespace thaw::kernels {

inline constexpr std::size_t kBlockColsMax = 256;

struct BlockPlanes {
  std::uint8_t v[kBlockColsMax] = {};  // in column order; q8: the bits of an s8; q6k: 0..63
  std::uint8_t sc[16] = {};            // q4k, q5k: 8 sub-scales; q6k: 16, the bits of an s8
  std::uint8_t mn[8] = {};             // q4k, q5k
  std::uint16_t d = 0;                 // f16
  std::uint16_t m = 0;                 // f16: m of q4m, dmin of q4k and q5k
};

// The coding of the rows layout: row_block_bytes. Precondition here and below: not a float kind.
void read_row_block(Kind kind, const std::byte* from, BlockPlanes& to);
void write_row_block(Kind kind, const BlockPlanes& from, std::byte* to);

// The same of row r of a panel's block. Writing sets the bits of this row alone: `to` must have
// zeros there.
void read_panel_block(Kind kind, const std::byte* from, std::size_t r, BlockPlanes& to);
void write_panel_block(Kind kind, const BlockPlanes& from, std::size_t r, std::byte* to);

// The weights of a block, ARITHMETIC.md "weights".
//   to [block_cols]
void dequantise_block(Kind kind, const BlockPlanes& from, std::span<float> to);

}  // namespace thaw::kernels
