// Products of float32 matrices, by OpenBLAS where this build has it: the only header between it and
// the rest. Thread-safe once prepared.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace thaw::reference {

// Calls of multiply() at once; one after another where OpenBLAS was built without threads. It lends
// each a buffer, of which every build has 50 or more.
inline constexpr unsigned kProductsAtOnceMax = 32;

// To be called before the first product: lets each be computed by the thread that asks for it,
// whichever of Debian's OpenBLAS packages (serial, pthread) this machine has chosen.
// Errors: kUnsupported  this build has none
Result<Done> prepare_products();

// c = scale * a * b. Row-major; a row begins `stride` floats behind the one before it.
struct Product {
  std::size_t rows = 0, cols = 0;  // of c
  std::size_t depth = 0;           // what is summed over
  float scale = 1;
  const float* a = nullptr;  // [rows, depth]
  std::size_t a_stride = 0;
  const float* b = nullptr;  // [cols, depth] where transposed, else [depth, cols]
  std::size_t b_stride = 0;
  bool b_is_transposed = false;
  float* c = nullptr;  // [rows, cols], overwritten; apart from a and b
  std::size_t c_stride = 0;
};

// Preconditions: prepare_products() succeeded; nothing is empty; every number is below 2^31.
void multiply(const Product& product);

}  // namespace thaw::reference
