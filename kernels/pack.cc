#include "kernels/pack.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/float16.h"
#include "kernels/pack_planes.h"

namespace thaw::kernels {
namespace {

float float_value(Kind kind, const std::byte* from) {
  if (kind == Kind::kF32) return load<float>(from);
  const auto half = load<std::uint16_t>(from);
  return kind == Kind::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

// The panel that holds `row`.
const std::byte* panel_of(const Matrix& matrix, std::size_t row) {
  const KindInfo& facts = info(matrix.kind);
  THAW_CHECK(row < matrix.rows && matrix.cols % facts.block_cols == 0);
  const std::size_t panel_bytes =
      std::size_t{matrix.cols} / facts.block_cols * facts.panel_block_bytes;
  return matrix.panels + row / kPanelRows * panel_bytes;
}

}  // namespace

void pack_panel(Kind kind, Bytes rows, std::size_t row_count, std::size_t cols,
                std::span<std::byte> panel) {
  const KindInfo& facts = info(kind);
  const std::size_t blocks = cols / facts.block_cols;
  const std::size_t row_bytes = blocks * facts.row_block_bytes;
  THAW_CHECK(cols % facts.block_cols == 0 && row_count >= 1 && row_count <= kPanelRows);
  THAW_CHECK(rows.size() == row_count * row_bytes);
  THAW_CHECK(panel.size() == blocks * facts.panel_block_bytes);
  std::fill(panel.begin(), panel.end(), std::byte{0});
  for (std::size_t r = 0; r < row_count; ++r) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::byte* from = rows.data() + r * row_bytes + b * facts.row_block_bytes;
      std::byte* to = panel.data() + b * facts.panel_block_bytes;
      if (facts.is_float) {
        std::copy_n(from, facts.row_block_bytes, to + r * facts.row_block_bytes);
      } else {
        BlockPlanes planes;
        read_row_block(kind, from, planes);
        write_panel_block(kind, planes, r, to);
      }
    }
  }
}

void unpack_row(const Matrix& matrix, std::size_t row, std::span<std::byte> to) {
  const KindInfo& facts = info(matrix.kind);
  const std::byte* from = panel_of(matrix, row);
  const std::size_t blocks = matrix.cols / facts.block_cols;
  THAW_CHECK(to.size() == blocks * facts.row_block_bytes);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::byte* block = from + b * facts.panel_block_bytes;
    std::byte* out = to.data() + b * facts.row_block_bytes;
    if (facts.is_float) {
      std::copy_n(block + row % kPanelRows * facts.row_block_bytes, facts.row_block_bytes, out);
    } else {
      BlockPlanes planes;
      read_panel_block(matrix.kind, block, row % kPanelRows, planes);
      write_row_block(matrix.kind, planes, out);
    }
  }
}

void dequantise_row(Kind kind, Bytes row, std::span<float> to) {
  const KindInfo& facts = info(kind);
  const std::size_t blocks = to.size() / facts.block_cols;
  THAW_CHECK(to.size() % facts.block_cols == 0 && row.size() == blocks * facts.row_block_bytes);
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::byte* from = row.data() + b * facts.row_block_bytes;
    if (facts.is_float) {
      to[b] = float_value(kind, from);
    } else {
      BlockPlanes planes;
      read_row_block(kind, from, planes);
      dequantise_block(kind, planes, to.subspan(b * facts.block_cols, facts.block_cols));
    }
  }
}

void dequantise_row(const Matrix& matrix, std::size_t row, std::span<float> to) {
  const KindInfo& facts = info(matrix.kind);
  const std::byte* from = panel_of(matrix, row);
  THAW_CHECK(to.size() == matrix.cols);
  for (std::size_t b = 0; b < to.size() / facts.block_cols; ++b) {
    const std::byte* block = from + b * facts.panel_block_bytes;
    if (facts.is_float) {
      to[b] = float_value(matrix.kind, block + row % kPanelRows * facts.row_block_bytes);
    } else {
      BlockPlanes planes;
      read_panel_block(matrix.kind, block, row % kPanelRows, planes);
      dequantise_block(matrix.kind, planes, to.subspan(b * facts.block_cols, facts.block_cols));
    }
  }
}

}  // namespace thaw::kernels
