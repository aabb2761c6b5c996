#include "handler/payload.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/inflate.h"
#include "handler/event/json_writer.h"
#include "handler/event/utf8.h"
#include "handler/json_pointer.h"

namespace thaw::handler {
namespace {

using json::Value;

constexpr std::string_view kDecodings[] = {"base64", "gzip", "json", "url", "dynamodb"};

Error does_not_fit(std::string_view step, std::string_view found, std::string_view wanted) {
  return fail(Code::kInvalid, cat("record '", step, "': found ", found, ", wanted ", wanted));
}

// A number of DynamoDB's is a string; as JSON it is bare, if it is one of JSON's.
void write_number(json::Writer& writer, std::string_view digits) {
  const Result<json::Document> number = json::Document::parse(digits);
  if (number && number->root().type() == json::Type::kNumber) {
    writer.raw(digits);
  } else {
    writer.value(digits);
  }
}

// DynamoDB's typed values ({"S": "text"}, {"M": {...}}) as plain ones. No deeper than JSON is.
void write_plain(json::Writer& writer, const Value& typed) {
  const Value inside = typed.at(0);
  const std::string_view type = inside.key();
  if (typed.size() != 1) {
    writer.null();
  } else if (type == "N") {
    write_number(writer, inside.text());
  } else if (type == "M") {
    writer.begin_object();
    for (const Value& member : inside) {
      writer.key(member.key());
      write_plain(writer, member);
    }
    writer.end_object();
  } else if (type == "L") {
    writer.begin_array();
    for (const Value& element : inside) write_plain(writer, element);
    writer.end_array();
  } else if (type == "NS") {
    writer.begin_array();
    for (const Value& element : inside) write_number(writer, element.text());
    writer.end_array();
  } else if (type == "NULL") {
    writer.null();
  } else {
    writer.raw(json::to_text(inside));  // S, B, BOOL, SS, BS
  }
}

Result<Done> parse_into(Content& content, std::string text) {
  auto decoded = std::make_unique<event::Decoded>();
  decoded->text = std::move(text);
  THAW_TRY(document, json::Document::parse(decoded->text));
  decoded->document = std::move(document);
  content.value = decoded->document.root();
  content.is_text = false;
  content.decoded.push_back(std::move(decoded));
  return Done{};
}

Result<Done> decode(Content& content, std::string_view step) {
  if (step == "dynamodb") {
    if (!content.value.is_object()) {
      return does_not_fit(step, json::name_of(content.value.type()), "an object");
    }
    std::string plain;
    json::Writer writer(plain);
    writer.begin_object();
    for (const Value& attribute : content.value) {
      writer.key(attribute.key());
      write_plain(writer, attribute);
    }
    writer.end_object();
    return parse_into(content, std::move(plain));
  }
  if (!content.is_text && !content.value.is_string()) {
    return does_not_fit(step, json::name_of(content.value.type()), "a string");
  }
  std::string text = content.is_text ? std::move(content.text) : std::string(content.value.text());
  if (step == "json") return parse_into(content, std::move(text));
  content.value = Value();
  content.is_text = true;
  if (step == "gzip") {
    THAW_TRY(unpacked, event::gunzip(text));
    content.text = std::move(unpacked);
  } else if (step == "base64") {
    std::optional<std::string> bytes = event::base64_decode(text);
    if (!bytes) return does_not_fit(step, "other characters", "base64");
    content.text = std::move(*bytes);
  } else {
    content.text = event::percent_decode(text, /*plus_is_space=*/true);
  }
  return Done{};
}

FieldError bad(Code code, std::string message) { return FieldError{code, "", std::move(message)}; }

std::variant<Request, FieldError> request_of_text(std::string_view text, bool may_be_request,
                                                  const Manifest& manifest, std::uint64_t seed) {
  if (text.empty()) return bad(Code::kInvalid, "record: found an empty text, wanted a prompt");
  if (!event::is_utf8(text)) {
    return bad(Code::kInvalid, "record: found other bytes, wanted text in UTF-8");
  }
  if (text.size() > manifest.event_bytes_max) {
    return bad(Code::kLimit, cat("record: ", text.size(), " bytes, the limit is ",
                                 manifest.event_bytes_max, "; send less"));
  }
  if (may_be_request) {
    const Result<json::Document> document = json::Document::parse(text);
    if (document && (document->root()["prompt"] || document->root()["messages"])) {
      return read_request(Shape::kDirect, document->root(), manifest, seed);
    }
  }
  return request_of_prompt(text, manifest, seed);
}

std::variant<Request, FieldError> request_of(const Content& content, SourceMapping::Use use,
                                             const Manifest& manifest, std::uint64_t seed) {
  const bool auto_request = use == SourceMapping::Use::kContent;
  if (use == SourceMapping::Use::kRequest) {
    if (content.value.is_object()) {
      return read_request(Shape::kDirect, content.value, manifest, seed);
    }
    const std::string_view text = content.is_text ? content.text : content.value.text();
    const Result<json::Document> document = json::Document::parse(text);
    if (!document) return bad(Code::kInvalid, cat("record: ", document.error().message));
    return read_request(Shape::kDirect, document->root(), manifest, seed);
  }
  if (content.is_text) return request_of_text(content.text, auto_request, manifest, seed);
  if (content.value.is_string()) {
    return request_of_text(content.value.text(), auto_request, manifest, seed);
  }
  if (auto_request && (content.value["prompt"] || content.value["messages"])) {
    return read_request(Shape::kDirect, content.value, manifest, seed);
  }
  return request_of_text(json::to_text(content.value), false, manifest, seed);
}

}  // namespace

bool is_step(std::string_view text) {
  return is_pointer(text) ||
         std::find(std::begin(kDecodings), std::end(kDecodings), text) != std::end(kDecodings);
}

Result<Content> follow(const Value& record, event::Path path) {
  Content content;
  content.value = record;
  for (const std::string_view step : path) {
    if (step.empty()) continue;
    if (step.front() != '/') {
      THAW_TRY_DO(decode(content, step));
      continue;
    }
    if (content.is_text) return does_not_fit(step, "text", "JSON: put 'json' before it");
    content.value = find_pointer(content.value, step);
    if (!content.value) return content;
  }
  return content;
}

std::variant<Request, FieldError> read_record(const event::Adapter& adapter,
                                              const event::Record& record,
                                              const Manifest& manifest) {
  if (!record.wrong.empty()) return bad(Code::kInvalid, record.wrong);
  const std::uint64_t seed = seed_of(record.id);
  const SourceMapping* mapping = manifest.mapping_of(adapter.source);
  const bool mapped = mapping != nullptr && mapping->use != SourceMapping::Use::kContent;
  if (!mapped && record.content) {
    Content content;
    content.value = record.content;
    return request_of(content, SourceMapping::Use::kContent, manifest, seed);
  }
  const event::Path usual = record.path.empty() ? adapter.records->content : record.path;
  const std::vector<std::string_view> path =
      mapped ? std::vector<std::string_view>(mapping->path.begin(), mapping->path.end())
             : std::vector<std::string_view>(usual.begin(), usual.end());
  Result<Content> content = follow(record.value, path);
  if (!content) return bad(content.error().code, content.error().message);
  const bool absent =
      !content->is_text &&
      (content->value.is_nothing() || (content->value.is_object() && content->value.size() == 0));
  if (absent && (mapped || !record.path.empty() || !adapter.records->tells)) {
    return bad(Code::kInvalid,
               cat("record: found nothing at '", path.empty() ? "" : path.front(), "'"));
  }
  if (absent) content->value = record.value;
  return request_of(*content, mapped ? mapping->use : SourceMapping::Use::kContent, manifest, seed);
}

}  // namespace thaw::handler
