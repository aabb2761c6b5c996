#include <cblas.h>

#include <mutex>

#include "handler/reference/products.h"

namespace thaw::reference {
namespace {

// OpenBLAS built without threads lends out its buffers without a lock (since 0.3.7, unless built
// with USE_LOCKING, as Debian's is not): two products at once now and then get the same one, and
// both come out wrong.
std::mutex serial_build;

}  // namespace

Result<Done> prepare_products() {
  openblas_set_num_threads(1);
  return Done{};
}

void multiply(const Product& p) {
  std::unique_lock one_at_a_time(serial_build, std::defer_lock);
  if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL) one_at_a_time.lock();
  const auto number = [](std::size_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, p.b_is_transposed ? CblasTrans : CblasNoTrans,
              number(p.rows), number(p.cols), number(p.depth), p.scale, p.a, number(p.a_stride),
              p.b, number(p.b_stride), 0.0f, p.c, number(p.c_stride));
}

}  // namespace thaw::reference
