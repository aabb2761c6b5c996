#include "handler/prompt.h"

#include <algorithm>
#include <span>

namespace thaw::handler {

std::vector<text::Message> with_system(std::vector<text::Message> messages,
                                       const Manifest& manifest) {
  const bool has_system =
      std::any_of(messages.begin(), messages.end(),
                  [](const text::Message& message) { return message.role == "system"; });
  if (!manifest.system.empty() && !has_system) {
    messages.insert(messages.begin(), {"system", manifest.system});
  }
  return messages;
}

Prompt prompt_for_task(std::string prompt, const Manifest& manifest) {
  if (manifest.task == "complete") return prompt;
  std::vector<text::Message> messages;
  messages.push_back({"user", std::move(prompt)});
  return with_system(std::move(messages), manifest);
}

Result<std::vector<text::Token>> encode_prompt(const text::Tokenizer& tokenizer,
                                               const text::ChatTemplate* chat, const Prompt& prompt,
                                               const PromptOptions& options) {
  if (const auto* raw = std::get_if<std::string>(&prompt)) {
    const text::Piece piece{*raw, false};
    return tokenizer.encode_prompt(std::span(&piece, 1));
  }
  if (chat == nullptr) {
    return fail(Code::kInvalid,
                "render conversation: this function has no chat template; send a raw prompt");
  }
  const auto spelling = [&](std::optional<text::Token> token) {
    return token ? std::string(tokenizer.bytes_of(*token)) : std::string();
  };
  text::RenderOptions render;
  render.enable_thinking = options.enable_thinking;
  render.bos_token = spelling(tokenizer.bos());
  render.eos_token = spelling(tokenizer.eos());
  render.unix_seconds = options.unix_seconds;
  THAW_TRY(pieces, chat->render(std::get<std::vector<text::Message>>(prompt), render));
  return tokenizer.encode_prompt(pieces);
}

}  // namespace thaw::handler
