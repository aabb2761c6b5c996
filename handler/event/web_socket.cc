// API Gateway's WebSocket APIs:
// docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html
// With a route response, the body goes back over the socket. Connecting and disconnecting are let
// pass.
#include "handler/event/record_fields.h"
#include "handler/event/sources.h"

namespace thaw::event {
namespace {

constexpr std::string_view kContent[] = {"/body"};
constexpr std::string_view kEncoded[] = {"/body", "base64"};

bool recognises(const json::Value& event) {
  const json::Value context = event["requestContext"];
  return context["connectionId"].is_string() && context["eventType"].is_string();
}

Result<Batch> read(const json::Value& event) {
  const json::Value context = event["requestContext"];
  const std::string_view type = context["eventType"].text();
  if (type == "CONNECT" || type == "DISCONNECT") return Batch();
  if (type != "MESSAGE") {
    return fail(Code::kInvalid,
                "event 'requestContext.eventType': found another word, wanted CONNECT, MESSAGE or "
                "DISCONNECT");
  }
  const json::Value id = context["messageId"] ? context["messageId"] : context["requestId"];
  THAW_TRY(name, required_id(id, "requestContext.messageId"));
  Batch batch = only_record(std::move(name), event);
  if (event["isBase64Encoded"].is_true()) batch.records.front().path = kEncoded;
  return batch;
}

std::string write(const json::Value&, std::span<const RecordResult> results, const AnswerFrame&) {
  std::string answer;
  json::Writer writer(answer);
  if (results.empty()) {
    writer.begin_object().field("statusCode", 200).end_object();
    return answer;
  }
  const RecordResult& result = results.front();
  std::string error;
  json::Writer error_writer(error);
  if (result.failed()) write_error(error_writer, result);
  const bool invalid = result.error_type == "Function.InvalidRequest";
  writer.begin_object().field("statusCode", !result.failed() ? 200 : invalid ? 400 : 500);
  writer.field("body", result.failed() ? error : result.answer).end_object();
  return answer;
}

constexpr RecordSource kRecords = {read, write, kContent, /*tells=*/false, /*takes_failures=*/true};

}  // namespace

const Adapter kWebSocket = {"api-gateway-websocket", recognises, nullptr, &kRecords};

}  // namespace thaw::event
