// SnapStart: the process is frozen once it is ready, its memory kept, and every instance begins as
// a copy of it. Where the platform asks for that, this comes between a start and the first /next.
#pragma once

#include <functional>

#include "base/result.h"
#include "runtime/lambda/transport.h"

namespace thaw::lambda {

// What AWS_LAMBDA_INITIALIZATION_TYPE says where a snapshot of memory will be taken.
inline constexpr std::string_view kSnapStart = "snap-start";

// Says that the start is done and waits, for as long as it takes, until this copy of the process is
// to go on. Then `after`: what must not be the same in every copy is made anew there. Its failure
// is reported to the platform and given back. What was frozen in the middle, such as a connection
// that is still open, is broken by then. Errors: those of `after`; kIo and kUnavailable, as
// http::Client's; kUnsupported, the platform's word for exit. A platform that has no such path
// (403, 404) takes no snapshots: no error, and `after` is not called.
Result<Done> wait_for_restore(const Connect& connect, const std::function<Result<Done>()>& after);

}  // namespace thaw::lambda
