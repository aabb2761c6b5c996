// A prompt as people give it, and its tokens: the same way at an invocation and at freeze time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "handler/manifest.h"
#include "handler/text/chat_template.h"
#include "handler/text/tokenizer.h"

namespace thaw::handler {

// Raw text (no chat template; special tokens not recognised) or a conversation.
using Prompt = std::variant<std::string, std::vector<text::Message>>;

// The manifest's system message before a conversation that brings none.
std::vector<text::Message> with_system(std::vector<text::Message> messages,
                                       const Manifest& manifest);
// What a bare prompt is to a function: raw text, or a user's message.
Prompt prompt_for_task(std::string prompt, const Manifest& manifest);

struct PromptOptions {
  std::optional<bool> enable_thinking = {};
  std::int64_t unix_seconds = 0;  // for templates that write the date
};

// The tokens of a prompt. `chat` is null where there is no template.
// Errors: kInvalid  a conversation without a template, or one that the template refuses
//         kLimit    from rendering
Result<std::vector<text::Token>> encode_prompt(const text::Tokenizer& tokenizer,
                                               const text::ChatTemplate* chat, const Prompt& prompt,
                                               const PromptOptions& options);

}  // namespace thaw::handler
