// HTTP requests as the events of API Gateway's REST APIs, of load balancers and of Function
// Compute's triggers, and the answers to these as HTTP. (HTTP APIs: function_url.h.) Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/emulator/function_url.h"

namespace thaw::emulator {

// Payload format 1.0. `request.path` is without the stage; `resource` is the route's path. A body
// that is no UTF-8 is base64, whatever its type, as if binaryMediaTypes named it.
std::string rest_event(const UrlRequest& request, std::string_view resource);
// Errors: kInvalid; the caller hears 502.
Result<UrlAnswer> rest_answer(std::string_view answer);

// `multi`: the target group has lambda.multi_value_headers.enabled: all of a name's values, in the
// event and in the answer. Else the last one.
std::string balancer_event(const UrlRequest& request, bool multi);
Result<UrlAnswer> balancer_answer(std::string_view answer, bool multi);

// Function Compute's HTTP trigger, version v1.
std::string fc_event(const UrlRequest& request);
Result<UrlAnswer> fc_answer(std::string_view answer);

}  // namespace thaw::emulator
