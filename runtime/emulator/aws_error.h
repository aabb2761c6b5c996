// The Invoke API's own errors, in the words and the shape that AWS's SDKs know.
#pragma once

#include <string>
#include <string_view>

#include "runtime/http/server.h"

namespace thaw::emulator {

struct AwsError {
  int status;
  std::string_view type;    // "ResourceNotFoundException", also sent as x-amzn-ErrorType
  std::string_view member;  // what its document calls the message: "Message" or "message"
  std::string_view reason;  // sent as "Reason" unless empty
};

inline constexpr AwsError kNotFound{404, "ResourceNotFoundException", "Message", ""};
inline constexpr AwsError kTooLarge{413, "RequestTooLargeException", "message", ""};
inline constexpr AwsError kThrottled{429, "TooManyRequestsException", "message",
                                     "ReservedFunctionConcurrentInvocationLimitExceeded"};
// As many run as the whole account may have.
inline constexpr AwsError kAccountThrottled{429, "TooManyRequestsException", "message",
                                            "ConcurrentInvocationLimitExceeded"};
inline constexpr AwsError kRateThrottled{429, "TooManyRequestsException", "message",
                                         "FunctionInvocationRateLimitExceeded"};
// More asynchronous events wait than the emulator keeps.
inline constexpr AwsError kQueueFull{429, "TooManyRequestsException", "message",
                                     "CallerRateLimitExceeded"};
inline constexpr AwsError kBadMedia{415, "UnsupportedMediaTypeException", "message", ""};
inline constexpr AwsError kBadReference{400, "ValidationException", "message", ""};
inline constexpr AwsError kBadContent{400, "InvalidRequestContentException", "message", ""};
inline constexpr AwsError kBadParameter{400, "InvalidParameterValueException", "message", ""};
inline constexpr AwsError kUnknownOperation{404, "UnknownOperationException", "message", ""};
inline constexpr AwsError kService{503, "ServiceUnavailableException", "message", ""};

void send_error(http::ResponseWriter& writer, const AwsError& error, std::string_view request_id,
                std::string_view message);

}  // namespace thaw::emulator
