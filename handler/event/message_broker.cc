// Amazon MQ, both brokers: docs.aws.amazon.com/lambda/latest/dg/with-mq.html
#include "base/str.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/data", "base64"};

bool recognises_active(const json::Value& event) {
  return event["eventSource"].text() == "aws:mq" && event["messages"].is_array();
}

bool recognises_rabbit(const json::Value& event) {
  return event["eventSource"].text() == "aws:rmq" && event["rmqMessagesByQueue"].is_object();
}

Result<Batch> read_active(const json::Value& event) {
  return read_list(event, "messages", [](const json::Value& record) {
    return IdField{record["messageID"], "messageID"};
  });
}

// RabbitMQ's messages need have no name; their place in the event is one.
Result<Batch> read_rabbit(const json::Value& event) {
  Batch batch;
  for (const json::Value& queue : event["rmqMessagesByQueue"]) {
    std::size_t index = 0;
    for (const json::Value& message : queue) {
      const std::string_view id = message["basicProperties"]["messageId"].text();
      batch.records.push_back(
          {id.empty() ? cat(queue.key(), "#", index) : std::string(id), message, {}});
      ++index;
    }
  }
  return batch;
}

constexpr RecordSource kActive = {read_active, write_results, kContent};
constexpr RecordSource kRabbit = {read_rabbit, write_results, kContent};

}  // namespace

const Adapter kActiveMq = {"aws:mq", recognises_active, nullptr, &kActive};
const Adapter kRabbitMq = {"aws:rmq", recognises_rabbit, nullptr, &kRabbit};

}  // namespace thaw::event
