#include "handler/answer.h"

#include <algorithm>

#include "base/str.h"
#include "handler/event/json_writer.h"

namespace thaw::handler {
namespace {

using json::Writer;

// Milliseconds with three decimals: no clock of ours says more.
double milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count() / 1000) / 1000.0;
}

// OpenAI's clients know stop and length; an answer cut off by the deadline is one cut short.
std::string_view openai_finish_reason(FinishReason reason) {
  return name_of(reason == FinishReason::kStop ? FinishReason::kStop : FinishReason::kLength);
}

void write_openai_usage(Writer& writer, const Usage& usage) {
  const std::uint32_t cached = std::min(usage.cached_tokens, usage.prompt_tokens);
  writer.begin_object()
      .field("prompt_tokens", usage.prompt_tokens)
      .field("completion_tokens", usage.completion_tokens)
      .field("total_tokens", std::uint64_t{usage.prompt_tokens} + usage.completion_tokens);
  writer.key("prompt_tokens_details").begin_object().field("cached_tokens", cached).end_object();
  writer.field("prompt_cache_hit_tokens", cached)
      .field("prompt_cache_miss_tokens", usage.prompt_tokens - cached)
      .end_object();
}

void write_direct_end(Writer& writer, const Generation& generation) {
  writer.field("finish_reason", name_of(generation.finish_reason));
  writer.key("usage")
      .begin_object()
      .field("prompt_tokens", generation.usage.prompt_tokens)
      .field("completion_tokens", generation.usage.completion_tokens)
      .field("cached_tokens", generation.usage.cached_tokens)
      .end_object();
  writer.key("timings")
      .begin_object()
      .field("tokenise_ms", milliseconds(generation.tokenise))
      .field("prefix_ms", milliseconds(generation.prefix))
      .field("prefill_ms", milliseconds(generation.prefill))
      .field("decode_ms", milliseconds(generation.decode))
      .end_object();
}

void write_openai_head(Writer& writer, const AnswerHead& head, bool chunk) {
  const bool chat = head.shape == Shape::kChat;
  const std::string_view object = !chat   ? "text_completion"
                                  : chunk ? "chat.completion.chunk"
                                          : "chat.completion";
  writer.field("id", cat(chat ? "chatcmpl-" : "cmpl-", head.request_id))
      .field("object", object)
      .field("created", head.created)
      .field("model", head.model);
}

// `stop_reason` says what OpenAI's finish_reason has no word for.
void write_finish(Writer& writer, const Generation* generation) {
  writer.key("logprobs").null();
  if (generation == nullptr) {
    writer.key("finish_reason").null();
    return;
  }
  writer.field("finish_reason", openai_finish_reason(generation->finish_reason));
  if (generation->finish_reason == FinishReason::kDeadline) {
    writer.field("stop_reason", name_of(generation->finish_reason));
  }
}

enum class Delta : unsigned char { kRole, kText, kEnd };

// One event of a stream: "data: {...}\n\n".
std::string chunk(const AnswerHead& head, Delta delta, std::string_view text,
                  const Generation* generation) {
  std::string out = "data: ";
  Writer writer(out);
  writer.begin_object();
  write_openai_head(writer, head, /*chunk=*/true);
  writer.key("choices").begin_array().begin_object().field("index", 0);
  if (head.shape == Shape::kChat) {
    writer.key("delta").begin_object();
    if (delta == Delta::kRole) writer.field("role", "assistant");
    if (delta != Delta::kEnd) writer.field("content", text);
    writer.end_object();
  } else {
    writer.field("text", text);
  }
  write_finish(writer, generation);
  writer.end_object().end_array();
  if (head.include_usage) writer.key("usage").null();
  writer.end_object();
  return out += "\n\n";
}

std::string usage_chunk(const AnswerHead& head, const Usage& usage) {
  std::string out = "data: ";
  Writer writer(out);
  writer.begin_object();
  write_openai_head(writer, head, /*chunk=*/true);
  writer.key("choices").begin_array().end_array().key("usage");
  write_openai_usage(writer, usage);
  writer.end_object();
  return out += "\n\n";
}

std::string direct_answer(std::string_view text, const Generation& generation) {
  std::string out;
  Writer writer(out);
  writer.begin_object().field("text", text);
  write_direct_end(writer, generation);
  writer.end_object();
  return out;
}

}  // namespace

ApiError api_error(const FieldError& error) {
  ApiError answer;
  answer.message = error.message;
  answer.param = error.field;
  answer.code = error.code == Code::kUnsupported ? "unsupported_parameter" : "invalid_value";
  return answer;
}

ApiError api_error(const Error& error) {
  ApiError answer;
  answer.message = error.message;
  switch (error.code) {
    case Code::kInvalid: answer.code = "invalid_value"; return answer;
    case Code::kLimit: answer.code = "context_length_exceeded"; return answer;
    case Code::kUnsupported: answer.code = "unsupported_parameter"; return answer;
    case Code::kUnavailable: answer.status = 503; break;
    case Code::kDeadline: answer.status = 504; break;
    default: answer.status = 500; break;
  }
  answer.type = "server_error";
  answer.code = name_of(error.code);
  return answer;
}

std::string error_body(const ApiError& error) {
  std::string out;
  Writer writer(out);
  writer.begin_object().key("error").begin_object();
  writer.field("message", error.message).field("type", error.type);
  for (const auto& [name, text] : {std::pair("param", &error.param), {"code", &error.code}}) {
    writer.key(name);
    text->empty() ? writer.null() : writer.value(*text);
  }
  writer.end_object().end_object();
  return out;
}

std::string whole_answer(const AnswerHead& head, std::string_view text,
                         const Generation& generation) {
  if (head.shape == Shape::kDirect) return direct_answer(text, generation);
  std::string out;
  Writer writer(out);
  writer.begin_object();
  write_openai_head(writer, head, /*chunk=*/false);
  writer.key("choices").begin_array().begin_object().field("index", 0);
  if (head.shape == Shape::kChat) {
    writer.key("message").begin_object().field("role", "assistant").field("content", text);
    writer.key("refusal").null().end_object();
  } else {
    writer.field("text", text);
  }
  write_finish(writer, &generation);
  writer.end_object().end_array().key("usage");
  write_openai_usage(writer, generation.usage);
  writer.end_object();
  return out;
}

std::string stream_begin(const AnswerHead& head) {
  return head.shape == Shape::kChat ? chunk(head, Delta::kRole, "", nullptr) : std::string();
}

std::string stream_text(const AnswerHead& head, std::string_view text) {
  if (head.shape != Shape::kDirect) return chunk(head, Delta::kText, text, nullptr);
  std::string out;
  Writer(out).begin_object().field("text", text).end_object();
  return out += '\n';
}

std::string stream_end(const AnswerHead& head, const Generation& generation) {
  if (head.shape == Shape::kDirect) {
    std::string out;
    Writer writer(out);
    writer.begin_object();
    write_direct_end(writer, generation);
    writer.end_object();
    return out += '\n';
  }
  std::string out = chunk(head, Delta::kEnd, "", &generation);
  if (head.include_usage) out += usage_chunk(head, generation.usage);
  return out += "data: [DONE]\n\n";
}

std::string stream_error(const AnswerHead& head, const ApiError& error) {
  if (head.shape == Shape::kDirect) return error_body(error) + "\n";
  return cat("data: ", error_body(error), "\n\ndata: [DONE]\n\n");
}

std::string_view stream_content_type(Shape shape) {
  return shape == Shape::kDirect ? "application/x-ndjson" : "text/event-stream; charset=utf-8";
}

}  // namespace thaw::handler
