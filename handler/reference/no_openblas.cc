// In the place of openblas.cc where there is no OpenBLAS.
#include "base/check.h"
#include "handler/reference/products.h"

namespace thaw::reference {

Result<Done> prepare_products() {
  return fail(Code::kUnsupported,
              "reference: this build has no float32 evaluation; use one with OpenBLAS");
}

void multiply(const Product&) { THAW_CHECK(false); }

}  // namespace thaw::reference
