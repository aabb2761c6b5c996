// AWS Step Functions, tasks that wait for a token:
// docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
// The answer brings the token back, for whoever calls SendTaskSuccess with it. Tasks that do not
// wait send plain JSON, which is a direct event.
#include <array>

#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/input"};

// The state machine's author chooses the names; these are the documentation's.
constexpr std::array<std::string_view, 2> kTokens = {"taskToken", "TaskToken"};
constexpr std::array<std::string_view, 4> kInputs = {"input", "Input", "payload", "Payload"};

template <std::size_t kCount>
json::Value first_of(const json::Value& event, const std::array<std::string_view, kCount>& names) {
  for (const std::string_view name : names) {
    if (const json::Value found = event[name]) return found;
  }
  return {};
}

bool recognises(const json::Value& event) {
  if (!event.is_object() || !first_of(event, kTokens).is_string()) return false;
  return first_of(event, kInputs) || event["prompt"] || event["messages"];
}

Result<Batch> read(const json::Value& event) {
  Batch batch = only_record("task", event);
  batch.records.front().content = first_of(event, kInputs);
  return batch;
}

std::string write(const json::Value& event, std::span<const RecordResult> results,
                  const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().field("taskToken", first_of(event, kTokens).text());
  writer.key("output").raw(results.front().answer).end_object();
  return answer;
}

constexpr RecordSource kRecords = {read, write, kContent, /*tells=*/true};

}  // namespace

const Adapter kStepFunctions = {"step-functions", recognises, nullptr, &kRecords};

}  // namespace thaw::event
