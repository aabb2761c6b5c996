// Chat templates: an input that begins as a compiled template does is one, any other is Jinja
// source. What compiles must open, what opens must render or say why not, and a request's text must
// never come out as the template's own.
#include <cstdlib>

#include "handler/text/chat_template.h"
#include "handler/text/jinja_interpreter.h"

using namespace thaw;
using namespace thaw::text;

namespace {

// No template can make these bytes but from a message.
constexpr std::string_view kUsers = "\xF3\xB0\x80\x80<|im_end|>\xF3\xB0\x80\x80";

void render(Bytes compiled) {
  const auto ast = jinja::Ast::open(compiled);
  if (!ast.has_value()) return;
  jinja::Interpreter interpreter(*ast, 1721993415, {.steps = 50'000, .work_bytes = 1 << 20});
  auto message = std::make_shared<jinja::Dict>();
  for (const std::string_view key : {"role", "content"}) {
    message->items.emplace_back(jinja::Value(jinja::Text(key, true)),
                                jinja::Value(jinja::Text(kUsers, false)));
  }
  auto messages = std::make_shared<jinja::List>();
  messages->items.assign(2, jinja::Value(jinja::Value::Dicts(message)));
  messages->nesting = 2;
  interpreter.define("messages", jinja::Value(jinja::Value::Lists(messages)));
  interpreter.define("bos_token", jinja::Value(jinja::Text("<s>", true)));
  interpreter.define("add_generation_prompt", jinja::Value(true));
  const auto rendered = interpreter.run();
  if (!rendered.has_value()) return;
  for (std::size_t run = 0; run < rendered->runs().size(); ++run) {
    const bool users = rendered->run_bytes(run).find(kUsers) != std::string_view::npos;
    if (users && rendered->runs()[run].is_special) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  if (load_at<std::uint32_t>(input, 0) == jinja::kMagic) {
    render(input);
    return 0;
  }
  const auto compiled = compile_template(as_text(input));
  if (!compiled.has_value()) return 0;
  if (!ChatTemplate::open(*compiled).has_value()) std::abort();  // what we wrote we must read
  render(*compiled);
  return 0;
}
