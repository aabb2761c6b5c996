#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/function.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"
#include "runtime/cli/waterfall.h"

namespace thaw::cli {
namespace {

constexpr std::size_t kBarColumns = 50;  // of a waterfall, beside names and times on 80 columns

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

handler::GenerationRequest request_for(const RunArguments& arguments,
                                       const handler::Manifest& manifest, std::string prompt) {
  handler::GenerationRequest request;
  if (arguments.raw || manifest.task == "complete") {
    request.prompt = std::move(prompt);
  } else {
    std::vector<text::Message> messages;
    if (arguments.system && !arguments.system->empty()) {
      messages.push_back({"system", *arguments.system});
    }
    messages.push_back({"user", std::move(prompt)});
    request.prompt = arguments.system ? std::move(messages)
                                      : handler::with_system(std::move(messages), manifest);
  }
  request.max_tokens = arguments.max_tokens == 0 ? manifest.max_tokens : arguments.max_tokens;
  request.sampling = manifest.sampling;
  text::SamplerOptions& sampling = request.sampling;
  sampling.temperature = arguments.temperature.value_or(sampling.temperature);
  sampling.top_k = arguments.top_k.value_or(sampling.top_k);
  sampling.top_p = arguments.top_p.value_or(sampling.top_p);
  sampling.min_p = arguments.min_p.value_or(sampling.min_p);
  sampling.seed = arguments.seed.value_or(sampling.seed);
  request.stop = arguments.stop;
  request.enable_thinking = arguments.thinking;
  request.use_prefix = !arguments.no_prefix;
  return request;
}

// What a model thought and what it answered, as they come: collected for JSON, or shown with the
// thoughts between the tags that models put around them.
class Shown {
 public:
  Shown(const Context& context, bool json) : context_(context), json_(json) {}

  bool take(const handler::TextPiece& piece) {
    if (json_) {
      (piece.reasoning ? reasoning_ : text_) += piece.text;
      return true;
    }
    if (piece.reasoning != thinking_) write(piece.reasoning ? "<think>\n" : "\n</think>\n\n");
    thinking_ = piece.reasoning;
    write(piece.text);
    return std::fflush(context_.out) == 0;
  }
  const std::string& text() const { return text_; }
  const std::string& reasoning() const { return reasoning_; }

 private:
  void write(std::string_view text) { std::fwrite(text.data(), 1, text.size(), context_.out); }

  const Context& context_;
  const bool json_;
  bool thinking_ = false;
  std::string text_;
  std::string reasoning_;
};

void print_json(const handler::Generation& done, const Shown& shown, double open_seconds,
                const Context& context) {
  nlohmann::json all = {{"text", shown.text()},
                        {"tokens", done.tokens},
                        {"finish_reason", handler::name_of(done.finish_reason)},
                        {"usage",
                         {{"prompt_tokens", done.usage.prompt_tokens},
                          {"completion_tokens", done.usage.completion_tokens},
                          {"cached_tokens", done.usage.cached_tokens}}},
                        {"timings", {{"open_ms", open_seconds * 1e3}}}};
  const handler::StartTimes* start = done.start ? &*done.start : nullptr;
  if (start != nullptr) all["timings"]["clock"] = handler::clock_name(*start);
  for (const handler::Phase& phase : handler::phases_of(done.phases, start)) {
    all["timings"][cat(phase.name, "_ms")] = seconds(phase.time) * 1e3;
  }
  if (!shown.reasoning().empty()) all["reasoning_content"] = shown.reasoning();
  std::fprintf(context.out, "%s\n",
               all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_summary(const handler::Generation& done, double open_seconds, const Context& context) {
  const double prefill = seconds(done.phases.prefill);
  const double decode = seconds(done.phases.decode);
  const std::uint32_t computed = done.usage.prompt_tokens - done.usage.cached_tokens;
  const std::string prefix = done.usage.cached_tokens == 0
                                 ? ""
                                 : cat("prefix ", done.usage.cached_tokens, " tokens restored in ",
                                       milliseconds(seconds(done.phases.prefix)), ", ");
  std::fprintf(
      context.err, "open %s, %sprefill %u tokens in %s (%s/s), decode %u tokens in %s (%s/s), %s\n",
      milliseconds(open_seconds).c_str(), prefix.c_str(), computed, milliseconds(prefill).c_str(),
      decimal(computed / std::max(prefill, 1e-9), 1).c_str(), done.usage.completion_tokens,
      milliseconds(decode).c_str(),
      decimal(done.usage.completion_tokens / std::max(decode, 1e-9), 1).c_str(),
      std::string(handler::name_of(done.finish_reason)).c_str());
}

}  // namespace

Result<Done> run(const RunArguments& arguments, const Context& context) {
  std::string prompt = arguments.prompt;
  if (prompt == "-") {
    THAW_TRY(text, read_input(context, prompt));
    prompt = std::move(text);
  }
  const auto begin = context.clock.now();
  const handler::FunctionOptions options = function_options(context, arguments.threads);
  THAW_TRY(function, handler::Function::open(context.files, arguments.path, options));
  const double open_seconds = seconds(context.clock.now() - begin);
  warn_of_prefixes(*function, context);
  Shown shown(context, arguments.json);
  const handler::TextSink sink = [&](const handler::TextPiece& piece) { return shown.take(piece); };
  THAW_TRY(done, function->generator().generate(
                     request_for(arguments, function->manifest(), std::move(prompt)), sink));
  if (arguments.json) {
    print_json(done, shown, open_seconds, context);
    return Done{};
  }
  std::fputc('\n', context.out);
  print_summary(done, open_seconds, context);
  if (arguments.timings) std::fputs(waterfall(done, kBarColumns).c_str(), context.err);
  return Done{};
}

}  // namespace thaw::cli
