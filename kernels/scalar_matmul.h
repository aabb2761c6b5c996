// The scalar set's activations and matrix products. For scalar.cc alone.
#pragma once

#include "kernels/kernels.h"

namespace thaw::kernels::scalar {

std::size_t packed_bytes(std::size_t tokens, std::size_t cols, std::size_t refined);
void pack(const Activations& in, std::size_t block_begin, std::size_t block_end, std::byte* packed);
std::size_t scratch_bytes(Kind kind, std::size_t cols, std::size_t tokens);
void matmul(const Matrix& w, std::size_t panel_begin, std::size_t panel_end, const Activations& in,
            float* y, std::size_t y_stride, std::byte* scratch);

}  // namespace thaw::kernels::scalar
