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

struct Manifest {
  std::string name = "model";     // the function's and the model's name in answers
  std::string task = "chat";      // "chat": a prompt is a user message; "complete": raw text
  std::string system;             // put before conversations that bring no system message
  bool buffered = false;          // invoke_mode "buffered": never stream
  text::SamplerOptions sampling;  // defaults of requests that do not say
  std::uint32_t max_tokens = 256;          // default
  std::uint32_t max_tokens_limit = 4096;   // requests above it are refused
  std::uint32_t event_bytes_max = 6u << 20;
  // Where triggers keep the prompt: JSON Pointers (RFC 6901) into a record's body; empty: the body
  // itself is a prompt, or a direct event if it is a JSON object.
  std::string prompt_pointer;
};

// Errors: kInvalid (not JSON, unknown field, wrong type, out of range; names the field).
Result<Manifest> parse_manifest(std::string_view json);
// The same bytes for the same manifest; read_manifest's inverse.
std::vector<std::byte> compile_manifest(const Manifest& manifest);
// Errors: kCorrupt, kUnsupported (compiled by another version).
Result<Manifest> read_manifest(Bytes compiled);

}  // namespace thaw::handler
