#include "handler/cloud_events_http.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "handler/answer.h"
#include "handler/event/cloud_events.h"
#include "handler/event/encoding.h"
#include "handler/event/json_writer.h"
#include "handler/event/sources.h"
#include "handler/event/utf8.h"
#include "handler/http_surface.h"
#include "handler/records.h"

namespace thaw::handler {
namespace {

using event::HttpRequest;
using event::HttpResponse;

constexpr std::string_view kStructured = "application/cloudevents";
constexpr std::string_view kBatch = "application/cloudevents-batch";
constexpr std::string_view kPrefix = "ce-";

bool begins_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() &&
         event::equal_ignoring_case(text.substr(0, start.size()), start);
}

// The media type without its parameters.
std::string_view media_type(const HttpRequest& request) {
  const std::string_view type = request.header("content-type").value_or("");
  return type.substr(0, type.find_first_of("; \t"));
}

bool is_json(std::string_view media) {
  const auto ends_with = [&](std::string_view end) {
    return media.size() >= end.size() &&
           event::equal_ignoring_case(media.substr(media.size() - end.size()), end);
  };
  return media.empty() || ends_with("/json") || ends_with("+json");
}

// The structured form of an event whose attributes are headers: names in lower case, values
// percent-decoded.
Result<std::string> structured(const HttpRequest& request) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  for (const auto& [name, value] : request.headers) {
    if (!begins_with(name, kPrefix)) continue;
    std::string attribute = name.substr(kPrefix.size());
    for (char& letter : attribute) {
      if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    std::string decoded = event::percent_decode(value, /*plus_is_space=*/false);
    if (!event::is_utf8(decoded)) {
      return fail(Code::kInvalid, "header of a CloudEvent: found other bytes, wanted UTF-8");
    }
    // What the body is, is not an attribute's to say.
    if (attribute != "data" && attribute != "data_base64") writer.field(attribute, decoded);
  }
  const std::string_view media = media_type(request);
  if (!media.empty()) writer.field("datacontenttype", media);
  if (!request.body.empty()) {
    if (is_json(media)) {
      THAW_TRY(document, json::Document::parse(request.body));
      writer.key("data").raw(json::to_text(document.root()));
    } else if (event::is_utf8(request.body)) {
      writer.field("data", request.body);
    } else {
      writer.field("data_base64", event::base64_encode(request.body));
    }
  }
  writer.end_object();
  return text;
}

HttpOutcome refused(const Error& error, std::string_view request_id) {
  HttpOutcome outcome;
  ApiError answer = api_error(error);
  answer.status = 400;
  answer.type = "invalid_request_error";
  answer.code = "invalid_event";
  outcome.response = error_response(answer, request_id);
  return outcome;
}

// Brokers retry 5xx and put 4xx aside.
int status_of(const event::RecordResult& failed) {
  if (failed.error_type == "Function.InvalidRequest") return 400;
  if (failed.error_type == "Function.Unavailable") return 503;
  return failed.error_type == "Function.DeadlineExceeded" ? 504 : 500;
}

HttpResponse failed_response(const event::RecordResult& result, std::string_view request_id) {
  ApiError error;
  error.status = status_of(result);
  error.message = result.error_message;
  error.type = error.status == 400 ? "invalid_request_error" : "server_error";
  error.code = error.status == 400 ? "invalid_event" : "not_answered";
  return error_response(error, request_id);
}

}  // namespace

bool is_cloud_event(const HttpRequest& request) {
  return begins_with(media_type(request), kStructured) ||
         (request.header("ce-specversion") && request.header("ce-id"));
}

HttpOutcome answer_cloud_event(const Service& service, const HttpRequest& request,
                               const InvocationContext& context) {
  const std::string_view media = media_type(request);
  const bool batch = begins_with(media, kBatch);
  const bool binary = !begins_with(media, kStructured);
  Result<std::string> text = binary ? structured(request) : Result<std::string>(request.body);
  if (!text) return refused(text.error(), context.request_id);
  const Result<json::Document> document = json::Document::parse(*text);
  if (!document) return refused(document.error(), context.request_id);
  const json::Value root = document->root();
  if (batch != root.is_array()) {
    return refused(fail(Code::kInvalid, cat("body: found ", json::name_of(root.type()), ", wanted ",
                                            batch ? "an array of events" : "an event")),
                   context.request_id);
  }
  const event::Adapter& adapter = batch ? event::kCloudEvents : event::kCloudEvent;
  const Result<event::Batch> events = adapter.records->read(root);
  if (!events) return refused(events.error(), context.request_id);
  const Answered answered = answer_batch(service, adapter, *events, context);
  HttpOutcome outcome;
  outcome.usage = answered.usage;
  outcome.phases = answered.phases;
  if (!batch && answered.results.front().failed()) {
    outcome.response = failed_response(answered.results.front(), context.request_id);
    return outcome;
  }
  const auto now = service.clock.wall_now().time_since_epoch();
  const event::AnswerFrame frame{context.request_id,
                                 std::chrono::duration_cast<std::chrono::seconds>(now).count()};
  HttpResponse& response = outcome.response;
  response.headers = {{"x-request-id", std::string(context.request_id)}};
  if (binary) {
    response.headers.emplace_back("content-type", "application/json");
    for (auto& [name, value] : event::answer_attributes(answered.results.front(), 0, frame)) {
      response.headers.emplace_back(cat(kPrefix, name), event::percent_encode_header(value));
    }
    response.body = answered.results.front().answer;
  } else {
    response.headers.emplace_back("content-type", cat(batch ? kBatch : kStructured, "+json"));
    response.body = adapter.records->write(root, answered.results, frame);
  }
  return outcome;
}

}  // namespace thaw::handler
