// The adapters, one file each; adapters.cc puts them in order.
#pragma once

#include "handler/event/adapter.h"

namespace thaw::event {

extern const Adapter kApiGatewayRest;  // api_gateway_rest.cc: REST APIs, and payload format 1.0
extern const Adapter kApiGatewayHttp;  // api_gateway_http.cc: HTTP APIs, payload format 2.0
extern const Adapter kFunctionUrl;     // api_gateway_http.cc: the same shape
extern const Adapter kLoadBalancer;    // load_balancer.cc: ALB
extern const Adapter kFcHttp;          // fc_http.cc: Function Compute's HTTP trigger
extern const Adapter kQueue;           // queue.cc: SQS

}  // namespace thaw::event
