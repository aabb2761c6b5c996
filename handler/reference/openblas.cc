#include <cblas.h>

#include "handler/reference/products.h"

namespace thaw::reference {

Result<Done> prepare_products() {
  openblas_set_num_threads(1);
  return Done{};
}

void multiply(const Product& p) {
  const auto number = [](std::size_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, p.b_is_transposed ? CblasTrans : CblasNoTrans,
              number(p.rows), number(p.cols), number(p.depth), p.scale, p.a, number(p.a_stride),
              p.b, number(p.b_stride), 0.0f, p.c, number(p.c_stride));
}

}  // namespace thaw::reference
