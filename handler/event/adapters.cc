#include "handler/event/adapter.h"
#include "handler/event/sources.h"

namespace thaw::event {

std::span<const Adapter* const> adapters() {
  // No event is recognised by two of them, so the order is only that of likelihood.
  static constexpr const Adapter* kAdapters[] = {
      &kFunctionUrl, &kApiGatewayHttp, &kApiGatewayRest, &kLoadBalancer, &kQueue,
      &kTopic,       &kBucket,         &kEventBus,       &kStream,       &kTable,
      &kKafka,       &kActiveMq,       &kRabbitMq,       &kLogGroup,     &kStepFunctions,
      &kWebSocket,   &kBedrockAgent,   &kCloudEvent,     &kCloudEvents,  &kFcHttp,
      &kFcBucket,    &kFcTimer,        &kFcTopic,        &kFcLogs,       &kFcTable,
      &kFcCdn,
  };
  return kAdapters;
}

const Adapter* find_adapter(const json::Value& event) {
  for (const Adapter* adapter : adapters()) {
    if (adapter->recognises(event)) return adapter;
  }
  return nullptr;
}

const Adapter* find_record_source(std::string_view source) {
  for (const Adapter* adapter : adapters()) {
    if (adapter->records != nullptr && adapter->source == source) return adapter;
  }
  return nullptr;
}

}  // namespace thaw::event
