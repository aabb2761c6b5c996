#include "runtime/lambda/restore.h"

#include "base/log.h"
#include "base/str.h"
#include "runtime/lambda/loop.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {
namespace {

void report(Transport& transport, const Error& error) {
  const handler::InvocationError failure{"Runtime.AfterRestoreError", error.message};
  const std::string document = error_document(failure);
  http::Call call;
  call.method = "POST";
  call.target = kRestoreErrorPath;
  call.body = document;
  call.headers = error_headers(failure);
  const auto answer = transport.request(call);
  if (!answer) {
    log_error(cat("report a failed restore: ", answer.error().message));
  } else if (answer->status < 200 || answer->status >= 300) {
    log_error(cat("report a failed restore: the platform answered ", answer->status));
  }
}

}  // namespace

Result<Done> wait_for_restore(const Connect& connect, const std::function<Result<Done>()>& after) {
  THAW_TRY(transport, connect());
  http::Call call;
  call.target = kRestoreNextPath;
  auto answer = transport->request(call);
  // Asking changes nothing, and the connection may not have outlived the snapshot.
  if (!answer && answer.error().code == Code::kIo) answer = transport->request(call);
  if (!answer) return std::move(answer).error();
  if (answer->status == 403 || answer->status == 404) {
    log_warn(cat("wait for the restore: the platform answered ", answer->status,
                 "; going on without a snapshot"));
    return Done{};
  }
  if (answer->status < 200 || answer->status >= 300) {
    return fail(Code::kUnsupported,
                cat("wait for the restore: the platform answered ", answer->status));
  }
  if (const Result<Done> done = after(); !done) {
    report(*transport, done.error());
    return done.error();
  }
  return Done{};
}

}  // namespace thaw::lambda
