// THAW_CHECK: a condition that only a bug of ours can break. Always on; prints file, line and the
// condition to stderr and aborts. Input, files and sockets must never be able to trip one.
#pragma once

namespace thaw {

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace thaw

#define THAW_CHECK(condition) \
  ((condition) ? (void)0 : ::thaw::check_failed(__FILE__, __LINE__, #condition))
