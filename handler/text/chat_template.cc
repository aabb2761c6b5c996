#include "handler/text/chat_template.h"

#include "base/str.h"
#include "handler/text/jinja_interpreter.h"
#include "handler/text/jinja_lexer.h"
#include "handler/text/jinja_parser.h"

namespace thaw::text {

using jinja::Text;
using jinja::Value;

Result<std::vector<std::byte>> compile_template(std::string_view source) {
  if (source.size() > jinja::kSourceBytesMax) {
    return fail(Code::kLimit, cat("chat template: ", source.size(), " bytes, the limit is ",
                                  jinja::kSourceBytesMax));
  }
  THAW_TRY(tokens, jinja::lex(source));
  return jinja::Parser(std::move(tokens)).run();
}

Result<ChatTemplate> ChatTemplate::open(Bytes compiled) {
  THAW_TRY_DO(jinja::Ast::open(compiled));
  return ChatTemplate(compiled);
}

namespace {

Value request_text(std::string_view text) { return Value(Text(text, false)); }
Value own_text(std::string_view text) { return Value(Text(text, true)); }

Value message_list(std::span<const Message> messages) {
  auto list = std::make_shared<jinja::List>();
  for (const Message& message : messages) {
    auto dict = std::make_shared<jinja::Dict>();
    // A role is a request's word too: only the template may write special tokens.
    dict->items.emplace_back(own_text("role"), request_text(message.role));
    dict->items.emplace_back(own_text("content"), request_text(message.content));
    list->items.emplace_back(Value::Dicts(std::move(dict)));
  }
  list->nesting = 2;
  return Value(Value::Lists(std::move(list)));
}

}  // namespace

Result<std::vector<Piece>> ChatTemplate::render(std::span<const Message> messages,
                                                const RenderOptions& options) const {
  THAW_TRY(ast, jinja::Ast::open(compiled_));
  jinja::Interpreter interpreter(ast, options.unix_seconds);
  interpreter.define("messages", message_list(messages));
  interpreter.define("bos_token", own_text(options.bos_token));
  interpreter.define("eos_token", own_text(options.eos_token));
  interpreter.define("add_generation_prompt", Value(options.add_generation_prompt));
  // As transformers calls a template without tools.
  interpreter.define("tools", Value(jinja::None{}));
  interpreter.define("documents", Value(jinja::None{}));
  if (options.enable_thinking) {
    interpreter.define("enable_thinking", Value(*options.enable_thinking));
    interpreter.define("thinking", Value(*options.enable_thinking));
  }
  THAW_TRY(text, interpreter.run());
  std::vector<Piece> pieces;
  for (std::size_t run = 0; run < text.runs().size(); ++run) {
    pieces.push_back({std::string(text.run_bytes(run)), text.runs()[run].is_special});
  }
  return pieces;
}

}  // namespace thaw::text
