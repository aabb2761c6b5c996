// Chat templates: the subset of Jinja that models' templates use, compiled at freeze time, rendered
// at an invocation into pieces that keep the template's own text apart from what users wrote.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/text/tokenizer.h"

namespace thaw::text {

struct Message {
  std::string role;  // "system", "user", "assistant", ...
  std::string content;
};

struct RenderOptions {
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking =
      {};                      // defined as `enable_thinking` and `thinking` where set
  std::string bos_token = {};  // spelling; empty where the model has none
  std::string eos_token = {};
  std::int64_t unix_seconds = 0;  // for strftime_now
};

// Compiles Jinja source for the kTemplate section.
// Errors: kInvalid      a syntax error, with its line
//         kUnsupported  a construct outside the subset, naming it and its line
//         kLimit        larger or deeper than the named limits
Result<std::vector<std::byte>> compile_template(std::string_view source);

// A compiled template. Immutable; borrows its bytes for its life.
class ChatTemplate {
 public:
  // Errors: kCorrupt, kUnsupported (compiled by another version).
  static Result<ChatTemplate> open(Bytes compiled);

  // Renders a conversation. Text that comes from messages is never special; the template's own is.
  // Neighbouring pieces differ in is_special.
  // Errors: kInvalid  the template raised an exception (its message), or a type error
  //         kLimit    steps or output bytes beyond the named limits
  Result<std::vector<Piece>> render(std::span<const Message> messages,
                                    const RenderOptions& options) const;

 private:
  explicit ChatTemplate(Bytes compiled) : compiled_(compiled) {}
  Bytes compiled_;
};

}  // namespace thaw::text
