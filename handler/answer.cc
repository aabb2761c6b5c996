#include "handler/answer.h"

#include <algorithm>

#include "base/str.h"
#include "handler/event/json_writer.h"
#include "handler/event/utf8.h"

namespace thaw::handler {
namespace {

using json::Writer;

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
  if (usage.reasoning_tokens > 0) {
    writer.key("completion_tokens_details")
        .begin_object()
        .field("reasoning_tokens", usage.reasoning_tokens)
        .end_object();
  }
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
      .field("cached_tokens", generation.usage.cached_tokens);
  if (generation.usage.reasoning_tokens > 0) {
    writer.field("reasoning_tokens", generation.usage.reasoning_tokens);
  }
  writer.end_object();
  writer.key("timings").begin_object();
  const StartTimes* start = generation.start ? &*generation.start : nullptr;
  if (start != nullptr) writer.field("clock", clock_name(*start));
  for (const Phase& phase : phases_of(generation.phases, start)) {
    writer.field(cat(phase.name, "_ms"), milliseconds(phase.time));
  }
  writer.end_object();
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
  if (generation == nullptr) {
    writer.key("finish_reason").null();
    return;
  }
  writer.field("finish_reason", openai_finish_reason(generation->finish_reason));
  if (generation->finish_reason == FinishReason::kDeadline) {
    writer.field("stop_reason", name_of(generation->finish_reason));
  }
}

// A token's text. Bytes that are no text by themselves are spelt as OpenAI's completions spell
// them.
std::string spelling(std::string_view bytes) {
  if (event::is_utf8(bytes)) return std::string(bytes);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string spelt = "bytes:";
  for (const char letter : bytes) {
    const auto byte = static_cast<unsigned char>(letter);
    spelt += "\\x";
    spelt += kDigits[byte >> 4];
    spelt += kDigits[byte & 15];
  }
  return spelt;
}

void write_score(Writer& writer, const TokenScore& score) {
  writer.field("token", spelling(score.bytes)).field("logprob", score.logprob);
  writer.key("bytes").begin_array();
  for (const char letter : score.bytes) writer.value(int{static_cast<unsigned char>(letter)});
  writer.end_array();
}

// Chat's: one object a token.
void write_scores(Writer& writer, std::span<const ScoredToken> tokens) {
  writer.begin_array();
  for (const ScoredToken& token : tokens) {
    writer.begin_object();
    write_score(writer, token.chosen);
    writer.key("top_logprobs").begin_array();
    for (const TokenScore& top : token.top) {
      writer.begin_object();
      write_score(writer, top);
      writer.end_object();
    }
    writer.end_array().end_object();
  }
  writer.end_array();
}

// Completions': four lists, an entry a token.
void write_score_lists(Writer& writer, std::span<const ScoredToken> tokens, std::size_t offset) {
  writer.begin_object().key("tokens").begin_array();
  for (const ScoredToken& token : tokens) writer.value(spelling(token.chosen.bytes));
  writer.end_array().key("token_logprobs").begin_array();
  for (const ScoredToken& token : tokens) writer.value(token.chosen.logprob);
  writer.end_array().key("top_logprobs").begin_array();
  for (const ScoredToken& token : tokens) {
    writer.begin_object();
    for (const TokenScore& top : token.top) writer.field(spelling(top.bytes), top.logprob);
    writer.end_object();
  }
  writer.end_array().key("text_offset").begin_array();
  for (const ScoredToken& token : tokens) {
    writer.value(offset);
    offset += characters_of({&token, 1});
  }
  writer.end_array().end_object();
}

void write_logprobs(Writer& writer, const AnswerHead& head, std::span<const ScoredToken> tokens,
                    std::size_t offset) {
  writer.key("logprobs");
  if (!head.logprobs) {
    writer.null();
  } else if (head.shape == Shape::kChat) {
    writer.begin_object().key("content");
    write_scores(writer, tokens);
    writer.key("refusal").null().end_object();
  } else {
    write_score_lists(writer, tokens, offset);
  }
}

enum class Delta : unsigned char { kRole, kText, kEnd };

// One event of a stream: "data: {...}\n\n".
std::string chunk(const AnswerHead& head, Delta delta, const TextPiece& piece, std::size_t offset,
                  const Generation* generation) {
  std::string out = "data: ";
  Writer writer(out);
  writer.begin_object();
  write_openai_head(writer, head, /*chunk=*/true);
  writer.key("choices").begin_array().begin_object().field("index", 0);
  if (head.shape == Shape::kChat) {
    writer.key("delta").begin_object();
    if (delta == Delta::kRole) writer.field("role", "assistant");
    if (piece.reasoning) {
      writer.field("reasoning_content", piece.text);
    } else if (delta != Delta::kEnd) {
      writer.field("content", piece.text);
    }
    writer.end_object();
  } else {
    writer.field("text", piece.text);
  }
  if (piece.tokens.empty()) {
    writer.key("logprobs").null();
  } else {
    write_logprobs(writer, head, piece.tokens, offset);
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

std::string direct_answer(const AnswerHead& head, const AnswerText& answer,
                          const Generation& generation) {
  std::string out;
  Writer writer(out);
  writer.begin_object().field("text", answer.text);
  if (!answer.reasoning.empty()) writer.field("reasoning_content", answer.reasoning);
  if (head.logprobs) {
    writer.key("logprobs");
    write_scores(writer, answer.tokens);
  }
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

std::string whole_answer(const AnswerHead& head, const AnswerText& answer,
                         const Generation& generation) {
  if (head.shape == Shape::kDirect) return direct_answer(head, answer, generation);
  std::string out;
  Writer writer(out);
  writer.begin_object();
  write_openai_head(writer, head, /*chunk=*/false);
  writer.key("choices").begin_array().begin_object().field("index", 0);
  if (head.shape == Shape::kChat) {
    writer.key("message").begin_object().field("role", "assistant").field("content", answer.text);
    if (!answer.reasoning.empty()) writer.field("reasoning_content", answer.reasoning);
    writer.key("refusal").null().end_object();
  } else {
    writer.field("text", answer.text);
  }
  write_logprobs(writer, head, answer.tokens, 0);
  write_finish(writer, &generation);
  writer.end_object().end_array().key("usage");
  write_openai_usage(writer, generation.usage);
  writer.end_object();
  return out;
}

std::string stream_begin(const AnswerHead& head) {
  return head.shape == Shape::kChat ? chunk(head, Delta::kRole, {}, 0, nullptr) : std::string();
}

std::string stream_text(const AnswerHead& head, const TextPiece& piece, std::size_t text_offset) {
  if (head.shape != Shape::kDirect) return chunk(head, Delta::kText, piece, text_offset, nullptr);
  std::string out;
  Writer writer(out);
  writer.begin_object().field(piece.reasoning ? "reasoning_content" : "text", piece.text);
  if (!piece.tokens.empty()) {
    writer.key("logprobs");
    write_scores(writer, piece.tokens);
  }
  writer.end_object();
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
  std::string out = chunk(head, Delta::kEnd, {}, 0, &generation);
  if (head.include_usage) out += usage_chunk(head, generation.usage);
  return out += "data: [DONE]\n\n";
}

std::string stream_error(const AnswerHead& head, const ApiError& error) {
  if (head.shape == Shape::kDirect) return error_body(error) + "\n";
  return cat("data: ", error_body(error), "\n\ndata: [DONE]\n\n");
}

std::string_view stream_keep_alive(const AnswerHead& head) {
  return head.shape == Shape::kDirect ? std::string_view() : ": keep-alive\n\n";
}

std::size_t characters_of(std::span<const ScoredToken> tokens) {
  std::size_t count = 0;
  for (const ScoredToken& token : tokens) {
    for (const char letter : token.chosen.bytes) {
      if ((static_cast<unsigned char>(letter) & 0xC0) != 0x80) ++count;
    }
  }
  return count;
}

std::string_view stream_content_type(Shape shape) {
  return shape == Shape::kDirect ? "application/x-ndjson" : "text/event-stream; charset=utf-8";
}

}  // namespace thaw::handler
