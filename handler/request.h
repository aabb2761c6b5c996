// The shapes of requests: a direct event, OpenAI's chat and text completions. One reader for all,
// so that every option means the same everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "handler/event/json.h"
#include "handler/fields.h"
#include "handler/generator.h"
#include "handler/manifest.h"

namespace thaw::handler {

enum class Shape : unsigned char {
  kDirect,      // {"prompt" or "messages", options}; the body of POST /predict, too
  kChat,        // POST /v1/chat/completions
  kCompletion,  // POST /v1/completions
};

struct Request {
  GenerationRequest generation;
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
};

inline constexpr std::size_t kMessagesMax = 4096;     // more than any context holds
inline constexpr std::size_t kStopsMax = 16;          // DeepSeek's limit; OpenAI's is 4
inline constexpr std::size_t kStopBytesMax = 1024;    // of one stop string
inline constexpr std::size_t kLogitBiasMax = 1024;    // entries; OpenAI's limit is 300
inline constexpr std::uint64_t kTopLogprobsMax = 20;  // of a token; OpenAI's limit in chats

// Reads a request and fills in the manifest's defaults. `seed` is used where neither the request
// nor the manifest gives one.
std::variant<Request, FieldError> read_request(Shape shape, const json::Value& body,
                                               const Manifest& manifest, std::uint64_t seed);

// The request that a bare prompt makes: a record that is text and nothing else.
Request request_of_prompt(std::string_view prompt, const Manifest& manifest, std::uint64_t seed);

// Reads the sampling options that `fields` has into `options`; the manifest's defaults are spelt
// the same way. `seeded`: set where a seed was given.
void read_sampling(Fields& fields, text::SamplerOptions& options, bool& seeded);

// A seed that differs from one invocation to the next and can be had again from the log's request
// id (FNV-1a, 64 bits).
std::uint64_t seed_of(std::string_view request_id);

}  // namespace thaw::handler
