// Amazon CloudWatch Logs' subscriptions:
// docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/inflate.h"
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/message"};

bool recognises(const json::Value& event) { return event["awslogs"]["data"].is_string(); }

Result<Batch> read(const json::Value& event) {
  const std::optional<std::string> packed = base64_decode(event["awslogs"]["data"].text());
  if (!packed) {
    return fail(Code::kInvalid, "event 'awslogs.data': found other characters, wanted base64");
  }
  Batch batch;
  auto decoded = std::make_unique<Decoded>();
  THAW_TRY(text, gunzip(*packed));
  decoded->text = std::move(text);
  THAW_TRY(document, json::Document::parse(decoded->text));
  decoded->document = std::move(document);
  const json::Value root = decoded->document.root();
  batch.decoded.push_back(std::move(decoded));
  // CONTROL_MESSAGE: a test whether somebody is there.
  if (root["messageType"].text() == "CONTROL_MESSAGE") return batch;
  std::size_t index = 0;
  for (const json::Value& line : root["logEvents"]) {
    THAW_TRY(id, required_id(line["id"], cat("logEvents[", index++, "].id")));
    batch.records.push_back({std::move(id), line, {}});
  }
  return batch;
}

constexpr RecordSource kRecords = {read, write_results, kContent};

}  // namespace

const Adapter kLogGroup = {"cloudwatch-logs", recognises, nullptr, &kRecords};

}  // namespace thaw::event
