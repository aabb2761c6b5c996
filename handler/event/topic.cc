// Amazon SNS: docs.aws.amazon.com/lambda/latest/dg/with-sns.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/Sns/Message"};

bool recognises(const json::Value& event) { return first_source(event["Records"]) == "aws:sns"; }

Result<Batch> read(const json::Value& event) {
  return read_list(event, "Records", [](const json::Value& record) {
    return IdField{record["Sns"]["MessageId"], "Sns.MessageId"};
  });
}

constexpr RecordSource kRecords = {read, write_results, kContent};

}  // namespace

const Adapter kTopic = {"aws:sns", recognises, nullptr, &kRecords};

}  // namespace thaw::event
