// The shapes of answers: a direct answer, OpenAI's chat and text completions, whole or as a stream;
// and the shape of errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "handler/fields.h"
#include "handler/generator.h"
#include "handler/request.h"

namespace thaw::handler {

// An error as OpenAI's clients read it, and the HTTP status that goes with it.
struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // empty: null
  std::string code;   // empty: null
};

ApiError api_error(const FieldError& error);
// What the generator reported: 400 for the request's faults, 5xx for the function's.
ApiError api_error(const Error& error);
// {"error": {"message", "type", "param", "code"}}
std::string error_body(const ApiError& error);

// What the parts of one answer have in common.
struct AnswerHead {
  Shape shape = Shape::kDirect;
  std::string_view request_id;
  std::string_view model;
  std::int64_t created = 0;  // Unix seconds
  bool include_usage = false;
  bool logprobs = false;
};

// What a generation gave, collected.
struct AnswerText {
  std::string text;
  std::string reasoning;
  std::vector<ScoredToken> tokens;  // where log-probabilities are wanted
};

// The whole answer as one JSON document.
std::string whole_answer(const AnswerHead& head, const AnswerText& answer,
                         const Generation& generation);

// A stream: begin, any number of texts, then end or error. Direct answers stream as one JSON
// document a line (application/x-ndjson), OpenAI's as server-sent events.
std::string stream_begin(const AnswerHead& head);  // may be empty
// `text_offset`: characters of text before this piece, for completions' log-probabilities.
std::string stream_text(const AnswerHead& head, const TextPiece& piece, std::size_t text_offset);
std::string stream_end(const AnswerHead& head, const Generation& generation);
std::string stream_error(const AnswerHead& head, const ApiError& error);
// Between two parts of a stream that is slow to come: a comment, which clients pass over. Empty
// where the shape has none.
std::string_view stream_keep_alive(const AnswerHead& head);
std::string_view stream_content_type(Shape shape);

// The characters (code points) that tokens stand for, as completions' text_offset counts them.
std::size_t characters_of(std::span<const ScoredToken> tokens);

}  // namespace thaw::handler
