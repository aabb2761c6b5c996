// Between float rows, the rows layout and the panels layout (kind.h). Plain portable code: used at
// freeze time, in tests, and for the one embedding row a token needs. Pure functions.
#pragma once

#include <span>

#include "kernels/kind.h"

namespace thaw::kernels {

// Packs up to 16 rows of the rows layout into one panel; absent rows become zero bytes.
//   rows   row_count rows of rows_bytes(kind, 1, cols), contiguous; 1 <= row_count <= 16
//   panel  panels_bytes(kind, 16, cols), overwritten whole
void pack_panel(Kind kind, Bytes rows, std::size_t row_count, std::size_t cols,
                std::span<std::byte> panel);

// The inverse, for one row of a matrix: writes rows_bytes(kind, 1, cols) bytes, exactly those that
// were packed.
void unpack_row(const Matrix& matrix, std::size_t row, std::span<std::byte> to);

// The float values of one row; see ARITHMETIC.md, "weights", for the roundings.
//   row [cols] in the rows layout;  to [cols]
void dequantise_row(Kind kind, Bytes row, std::span<float> to);
// The same from panels.
void dequantise_row(const Matrix& matrix, std::size_t row, std::span<float> to);

// Codes float values into one row of the rows layout, choosing scales for the least squared error
// that a simple search finds (float kinds: round half to even). Deterministic.
//   from [cols], finite;  row [rows_bytes(kind, 1, cols)]
void quantise_row(Kind kind, std::span<const float> from, std::span<std::byte> row);

}  // namespace thaw::kernels
