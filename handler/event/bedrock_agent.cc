// Amazon Bedrock's agents, action groups with an API schema or with functions:
// docs.aws.amazon.com/bedrock/latest/userguide/agents-lambda.html
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/inputText"};

bool recognises(const json::Value& event) {
  return event["messageVersion"].is_string() && event["agent"].is_object() &&
         event["actionGroup"].is_string() && (event["apiPath"] || event["function"]);
}

// What the agent extracted for a parameter or a property called "prompt" is what it wants answered;
// otherwise the user's own words are.
json::Value prompt_of(const json::Value& event) {
  for (const json::Value& parameter : event["parameters"]) {
    if (parameter["name"].text() == "prompt") return parameter["value"];
  }
  for (const json::Value& media : event["requestBody"]["content"]) {
    for (const json::Value& property : media["properties"]) {
      if (property["name"].text() == "prompt") return property["value"];
    }
  }
  return {};
}

Result<Batch> read(const json::Value& event) {
  const std::string_view session = event["sessionId"].text();
  Batch batch = only_record(session.empty() ? "session" : std::string(session), event);
  batch.records.front().content = prompt_of(event);
  return batch;
}

void write_body(json::Writer& writer, std::string_view media, const RecordResult& result) {
  std::string error;
  json::Writer error_writer(error);
  if (result.failed()) write_error(error_writer, result);
  writer.key("responseBody").begin_object().key(media).begin_object();
  writer.field("body", result.failed() ? error : result.answer).end_object().end_object();
}

std::string write(const json::Value& event, std::span<const RecordResult> results,
                  const AnswerFrame&) {
  const RecordResult& result = results.front();
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().field("messageVersion", event["messageVersion"].text());
  writer.key("response").begin_object().field("actionGroup", event["actionGroup"].text());
  if (event["apiPath"]) {
    writer.field("apiPath", event["apiPath"].text());
    writer.field("httpMethod", event["httpMethod"].text());
    const bool invalid = result.error_type == "Function.InvalidRequest";
    writer.field("httpStatusCode", !result.failed() ? 200 : invalid ? 400 : 500);
    write_body(writer, "application/json", result);
  } else {
    writer.field("function", event["function"].text());
    writer.key("functionResponse").begin_object();
    if (result.failed()) writer.field("responseState", "FAILURE");
    write_body(writer, "TEXT", result);
    writer.end_object();
  }
  writer.end_object();
  for (const std::string_view kept : {"sessionAttributes", "promptSessionAttributes"}) {
    if (event[kept].is_object()) writer.key(kept).raw(to_text(event[kept]));
  }
  writer.end_object();
  return answer;
}

constexpr RecordSource kRecords = {read, write, kContent, /*tells=*/true, /*takes_failures=*/true};

}  // namespace

const Adapter kBedrockAgent = {"bedrock-agent", recognises, nullptr, &kRecords};

}  // namespace thaw::event
