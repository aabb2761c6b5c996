// The adapters, one file each; adapters.cc puts them in order.
#pragma once

#include "handler/event/adapter.h"

namespace thaw::event {

// HTTP
extern const Adapter kApiGatewayRest;  // api_gateway_rest.cc: REST APIs, and payload format 1.0
extern const Adapter kApiGatewayHttp;  // api_gateway_http.cc: HTTP APIs, payload format 2.0
extern const Adapter kFunctionUrl;     // api_gateway_http.cc: the same shape
extern const Adapter kLoadBalancer;    // load_balancer.cc: ALB
extern const Adapter kFcHttp;          // fc_http.cc: Function Compute's HTTP trigger

// Amazon's
extern const Adapter kQueue;          // queue.cc: SQS
extern const Adapter kTopic;          // topic.cc: SNS
extern const Adapter kBucket;         // bucket.cc: S3
extern const Adapter kEventBus;       // event_bus.cc: EventBridge and its schedules
extern const Adapter kStream;         // stream.cc: Kinesis
extern const Adapter kTable;          // table.cc: DynamoDB
extern const Adapter kKafka;          // kafka.cc: MSK and self-managed
extern const Adapter kActiveMq;       // message_broker.cc
extern const Adapter kRabbitMq;       // message_broker.cc
extern const Adapter kLogGroup;       // log_group.cc: CloudWatch Logs
extern const Adapter kStepFunctions;  // step_functions.cc: tasks that wait for a token
extern const Adapter kBedrockAgent;   // bedrock_agent.cc
extern const Adapter kWebSocket;      // web_socket.cc: API Gateway

// Function Compute's
extern const Adapter kFcBucket;  // fc_bucket.cc: OSS
extern const Adapter kFcTimer;   // fc_timer.cc
extern const Adapter kFcTopic;   // fc_topic.cc: MNS
extern const Adapter kFcLogs;    // fc_logs.cc: SLS
extern const Adapter kFcTable;   // fc_table.cc: Tablestore
extern const Adapter kFcCdn;     // fc_cdn.cc

// Everybody's
extern const Adapter kCloudEvent;   // cloud_events.cc: one, structured
extern const Adapter kCloudEvents;  // cloud_events.cc: a batch

}  // namespace thaw::event
