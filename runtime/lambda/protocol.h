// Words of AWS Lambda's Runtime API (version 2018-06-01) that both of its sides speak: the loop
// here and the emulator that plays the platform. Nothing here sends or waits.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "handler/handler.h"

namespace thaw::lambda {

inline constexpr std::string_view kApiVersion = "/2018-06-01";
inline constexpr std::string_view kNextPath = "/2018-06-01/runtime/invocation/next";
inline constexpr std::string_view kInvocationPath = "/2018-06-01/runtime/invocation/";
inline constexpr std::string_view kInitErrorPath = "/2018-06-01/runtime/init/error";
inline constexpr std::string_view kRestoreNextPath = "/2018-06-01/runtime/restore/next";
inline constexpr std::string_view kRestoreErrorPath = "/2018-06-01/runtime/restore/error";
// The Extensions API, on the same host and port.
inline constexpr std::string_view kRegisterPath = "/2020-01-01/extension/register";
inline constexpr std::string_view kExtensionNextPath = "/2020-01-01/extension/event/next";
inline constexpr std::string_view kExtensionNameHeader = "Lambda-Extension-Name";
inline constexpr std::string_view kExtensionIdHeader = "Lambda-Extension-Identifier";

// Headers of the answer to /next.
inline constexpr std::string_view kRequestIdHeader = "Lambda-Runtime-Aws-Request-Id";
inline constexpr std::string_view kDeadlineHeader = "Lambda-Runtime-Deadline-Ms";
inline constexpr std::string_view kFunctionArnHeader = "Lambda-Runtime-Invoked-Function-Arn";
inline constexpr std::string_view kTraceIdHeader = "Lambda-Runtime-Trace-Id";
inline constexpr std::string_view kClientContextHeader = "Lambda-Runtime-Client-Context";
// What a runtime of ours says about where an answer's time went (RFC's Server-Timing); AWS passes
// over it, the emulator reports it.
inline constexpr std::string_view kTimingHeader = "Server-Timing";
// Names one attempt; echoed on /response and /error, only where it was present.
inline constexpr std::string_view kInvocationIdHeader = "Lambda-Runtime-Invocation-Id";

// Headers of /response, /error and /init/error; the error pair are trailers of a broken stream.
inline constexpr std::string_view kResponseModeHeader = "Lambda-Runtime-Function-Response-Mode";
inline constexpr std::string_view kErrorTypeHeader = "Lambda-Runtime-Function-Error-Type";
inline constexpr std::string_view kErrorBodyHeader = "Lambda-Runtime-Function-Error-Body";
inline constexpr std::string_view kErrorCauseHeader = "Lambda-Runtime-Function-XRay-Error-Cause";

// A streamed body of this type begins with a JSON prelude (status, headers, cookies), then as many
// NUL bytes as kPreludeEndBytes, then the payload.
inline constexpr std::string_view kHttpIntegrationType =
    "application/vnd.awslambda.http-integration-response";
inline constexpr std::size_t kPreludeEndBytes = 8;

inline constexpr std::size_t kPayloadBytesMax = 6u << 20;   // an event or a buffered answer
inline constexpr std::size_t kStreamBytesMax = 200u << 20;  // a streamed one, its prelude included

// {"errorMessage", "errorType", "stackTrace": []}. Bytes that are not UTF-8 are replaced.
std::string error_document(const handler::InvocationError& error);
// What X-Ray shows of it, for kErrorCauseHeader: ASCII on one line.
std::string error_cause(const handler::InvocationError& error);
// The error's type where it is `Runtime.Reason` or `Function.Reason`, else "Function.Unknown": what
// the platform takes in kErrorTypeHeader.
std::string_view header_error_type(std::string_view type);

// The prelude of a streamed HTTP answer with its end. Names are lower case, values of a repeated
// one joined by ", ", Set-Cookie moved to "cookies".
std::string http_prelude(const handler::StreamHead& head);

// What AWS_LAMBDA_LOG_LEVEL asks for: TRACE, DEBUG, INFO, WARN, ERROR, FATAL (which is only what
// ends us, so that errors are shown). Nothing for any other word.
std::optional<LogLevel> log_level_of(std::string_view name);

std::string base64_encode(std::string_view bytes);
// Nothing where `text` is not base64 (RFC 4648, padded).
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace thaw::lambda
