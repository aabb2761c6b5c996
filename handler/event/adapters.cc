#include "handler/event/adapter.h"
#include "handler/event/sources.h"

namespace thaw::event {

const Adapter* find_adapter(const json::Value& event) {
  // No event is recognised by two of them, so the order is only that of likelihood.
  static constexpr const Adapter* kAdapters[] = {
      &kFunctionUrl, &kApiGatewayHttp, &kApiGatewayRest, &kLoadBalancer, &kQueue, &kFcHttp,
  };
  for (const Adapter* adapter : kAdapters) {
    if (adapter->recognises(event)) return adapter;
  }
  return nullptr;
}

}  // namespace thaw::event
