// Pre-tokenizers: they cut text into the pieces within which byte pairs merge. Each is a sequence
// of regular expressions in the model's tokenizer.json, written here as scanners.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thaw::text {

// Values are stored in tokenizer tables and never change.
enum class PreTokenizer : std::uint8_t {
  kNone = 0,  // the text is one piece (SentencePiece)
  kGpt2 = 1,
  kLlama3 = 2,
  kQwen2 = 3,
  kDeepSeekLlm = 4,
  kDeepSeekCoder = 5,
  kDeepSeekV3 = 6,
  kSmolLm = 7,
};
inline constexpr std::uint8_t kPreTokenizerCount = 8;

// By the name that GGUF's tokenizer.ggml.pre gives; nothing where it is not known.
std::optional<PreTokenizer> pre_tokenizer_named(std::string_view name);
// The names that are known, for messages.
std::string pre_tokenizer_names();

// Appends where each piece of `text` ends, ascending; the last is text.size(). A byte that is not
// UTF-8 counts as a character that is neither letter, number, space, mark, punctuation nor symbol.
void split(PreTokenizer pre, std::string_view text, std::vector<std::size_t>& ends);

}  // namespace thaw::text
