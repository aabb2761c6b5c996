#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace thaw {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s; this is a bug in thaw, please report it\n", file,
               line, condition);
  std::abort();
}

}  // namespace thaw
