// The function manifest: what a snapshot does with an event. JSON (docs: handler/MANIFEST.md),
// compiled at freeze time so that nothing on the thaw path parses JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/text/sampler.h"

namespace thaw::handler {

// What to do with the records of one source of events, where it is not the usual.
struct SourceMapping {
  enum class Use : std::uint8_t {
    kContent,  // what the source itself has as its content, a prompt or a request
    kPrompt,   // `path` leads to a prompt
    kRequest,  // `path` leads to a request: a direct event
  };
  std::string source;  // "aws:sqs", or "*": every source that has no mapping of its own
  Use use = Use::kContent;
  std::vector<std::string> path;  // JSON Pointers into a record, and decodings (payload.h)
  std::string directory;          // where answers are written as files; empty: they are returned
  std::uint32_t at_once = 1;      // records of a batch answered together, where their order is free
};

struct Manifest {
  std::string name = "model";      // the function's and the model's name in answers
  std::string task = "chat";       // "chat": a prompt is a user message; "complete": raw text
  std::string system;              // put before conversations that bring no system message
  bool buffered = false;           // invoke_mode "buffered": never stream
  text::SamplerOptions sampling;   // defaults of requests that do not say
  bool seeded = false;             // sampling.seed holds; else each invocation has its own seed
  std::uint32_t max_tokens = 256;  // default
  std::uint32_t max_tokens_limit = 4096;     // requests above it are refused
  std::uint32_t event_bytes_max = 6u << 20;  // of a direct event, or of an HTTP event's body
  std::vector<SourceMapping> events;         // by source, ascending
  // Files whose token prefixes `thaw freeze` stores; of no meaning after it, and not compiled.
  std::vector<std::string> prefixes;

  // The mapping of a source; null where it has none.
  const SourceMapping* mapping_of(std::string_view source) const;
};

// Limits that the fields are held to; MANIFEST.md states them.
inline constexpr std::size_t kNameBytesMax = 128;
inline constexpr std::size_t kSystemBytesMax = 1u << 20;  // longer than any context
inline constexpr std::size_t kMappingsMax = 64;
inline constexpr std::size_t kStepsMax = 16;  // of a path
inline constexpr std::size_t kStepBytesMax = 1024;
inline constexpr std::size_t kDirectoryBytesMax = 1024;
inline constexpr std::uint32_t kAtOnceMax = 64;     // sessions, each with a KV cache of its own
inline constexpr std::size_t kPrefixFilesMax = 64;  // as many as a snapshot can have
inline constexpr std::size_t kPrefixPathBytesMax = 4096;
inline constexpr std::uint32_t kTokensLimitMax = 1u << 24;
inline constexpr std::uint32_t kEventBytesLimitMax = 64u << 20;

// Whether every field is in its range; who fills a Manifest by hand checks it before compiling.
// Errors: kInvalid, naming the field.
Result<Done> validate(const Manifest& manifest);
// Errors: kInvalid (not JSON, unknown field, wrong type, out of range; names the field).
Result<Manifest> parse_manifest(std::string_view json);
// The same bytes for the same manifest; read_manifest's inverse.
std::vector<std::byte> compile_manifest(const Manifest& manifest);
// Errors: kCorrupt (cut short, too long, a field out of range), kUnsupported (compiled by another
// version).
Result<Manifest> read_manifest(Bytes compiled);

}  // namespace thaw::handler
