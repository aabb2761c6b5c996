#include "handler/request.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "base/str.h"

namespace thaw::handler {
namespace {

using json::Type;
using json::Value;

// One message's content: a string, or parts of type text, joined by line breaks.
std::optional<std::string> read_content(Fields& fields, const std::string& name,
                                        const Value& content) {
  if (content.is_string()) return std::string(content.text());
  if (!content.is_array() || content.size() == 0) {
    fields.wrong(name, content.is_array() ? "an empty array" : json::name_of(content.type()),
                 "a string or an array of text parts");
    return std::nullopt;
  }
  std::string joined;
  std::size_t index = 0;
  for (const Value& part : content) {
    const std::string part_name = cat(name, "[", index, "]");
    const Value type = part["type"];
    if (!type.is_string()) {
      fields.wrong(cat(part_name, ".type"), json::name_of(type.type()), "the string 'text'");
      return std::nullopt;
    }
    if (type.text() != "text") {
      fields.unsupported(cat(part_name, ".type"), "this function reads parts of type 'text' only");
      return std::nullopt;
    }
    if (!part["text"].is_string()) {
      fields.wrong(cat(part_name, ".text"), json::name_of(part["text"].type()), "a string");
      return std::nullopt;
    }
    joined += cat(index++ == 0 ? "" : "\n", part["text"].text());
  }
  return joined;
}

bool is_asked_for(const Value& value) {
  if (value.is_nothing()) return false;
  return !(value.is_array() || value.is_object()) || value.size() > 0;
}

std::optional<text::Message> read_message(Fields& fields, const std::string& name,
                                          const Value& message) {
  if (!message.is_object()) {
    fields.wrong(name, json::name_of(message.type()), "an object");
    return std::nullopt;
  }
  const std::string_view role = message["role"].text();
  if (role == "tool" || role == "function") {
    fields.unsupported(cat(name, ".role"), "this function calls no tools");
    return std::nullopt;
  }
  if (role != "system" && role != "developer" && role != "user" && role != "assistant") {
    fields.wrong(
        cat(name, ".role"),
        message["role"].is_string() ? "another role" : json::name_of(message["role"].type()),
        "'system', 'developer', 'user' or 'assistant'");
    return std::nullopt;
  }
  for (const std::string_view unable : {"tool_calls", "function_call", "audio"}) {
    if (is_asked_for(message[unable])) {
      fields.unsupported(cat(name, ".", unable), "not supported; leave it out");
      return std::nullopt;
    }
  }
  if (message["prefix"].is_true()) {
    fields.unsupported(cat(name, ".prefix"), "not supported; leave it out");
    return std::nullopt;
  }
  std::optional<std::string> content =
      read_content(fields, cat(name, ".content"), message["content"]);
  if (!content) return std::nullopt;
  // Templates know no 'developer', which is OpenAI's newer name for the same thing.
  return text::Message{std::string(role == "developer" ? "system" : role), std::move(*content)};
}

std::vector<text::Message> read_messages(Fields& fields, const Value& list) {
  std::vector<text::Message> messages;
  if (!list.is_array() || list.size() == 0) {
    fields.wrong("messages", list.is_array() ? "an empty array" : json::name_of(list.type()),
                 "an array of messages");
    return messages;
  }
  if (list.size() > kMessagesMax) {
    fields.wrong("messages", cat(list.size()), cat("at most ", kMessagesMax));
    return messages;
  }
  for (const Value& item : list) {
    std::optional<text::Message> message =
        read_message(fields, cat("messages[", messages.size(), "]"), item);
    if (!message) return {};
    messages.push_back(std::move(*message));
  }
  return messages;
}

// A prompt is a string, or (as OpenAI's text completions allow) an array of one.
std::optional<std::string> read_prompt(Fields& fields, const Value& prompt) {
  if (prompt.is_string()) return std::string(prompt.text());
  if (prompt.is_array() && prompt.size() == 1 && prompt.at(0).is_string()) {
    return std::string(prompt.at(0).text());
  }
  if (prompt.is_array() && prompt.size() > 0) {
    fields.unsupported("prompt", "several prompts, or token ids, are not supported; send a string");
  } else {
    fields.wrong("prompt", prompt.is_array() ? "an empty array" : json::name_of(prompt.type()),
                 "a string");
  }
  return std::nullopt;
}

void read_task(Fields& fields, Shape shape, const Manifest& manifest, Request& request) {
  const Value prompt = fields.any("prompt");
  const Value messages = fields.any("messages");
  const bool wants_messages =
      shape == Shape::kChat || (shape == Shape::kDirect && !messages.is_nothing());
  if (shape == Shape::kDirect && !prompt.is_nothing() && !messages.is_nothing()) {
    fields.wrong("prompt", "both 'prompt' and 'messages'", "one of them");
    return;
  }
  if (wants_messages) {
    request.generation.prompt = with_system(read_messages(fields, messages), manifest);
    return;
  }
  std::optional<std::string> text = read_prompt(fields, prompt);
  if (!text) return;
  if (shape == Shape::kCompletion) {
    request.generation.prompt = std::move(*text);  // text completions know no template
  } else {
    request.generation.prompt = prompt_for_task(std::move(*text), manifest);
  }
}

void read_stop(Fields& fields, std::vector<std::string>& stops) {
  const Value stop = fields.any("stop");
  if (stop.is_nothing()) return;
  if (!stop.is_string() && !stop.is_array()) {
    fields.wrong("stop", json::name_of(stop.type()), "a string or an array of strings");
    return;
  }
  if (stop.is_array() && stop.size() > kStopsMax) {
    fields.wrong("stop", cat(stop.size(), " strings"), cat("at most ", kStopsMax));
    return;
  }
  const auto add = [&](const std::string& name, const Value& item) {
    if (!item.is_string()) {
      fields.wrong(name, json::name_of(item.type()), "a string");
    } else if (item.text().empty() || item.text().size() > kStopBytesMax) {
      fields.wrong(name, cat(item.text().size(), " bytes"), cat("1 to ", kStopBytesMax));
    } else {
      stops.emplace_back(item.text());
    }
  };
  if (stop.is_string()) {
    add("stop", stop);
    return;
  }
  std::size_t index = 0;
  for (const Value& item : stop) add(cat("stop[", index++, "]"), item);
}

void read_logit_bias(Fields& fields, text::SamplerOptions& options) {
  const Value map = fields.object("logit_bias");
  if (map.size() > kLogitBiasMax) {
    fields.wrong("logit_bias", cat(map.size(), " entries"), cat("at most ", kLogitBiasMax));
    return;
  }
  for (const Value& entry : map) {
    text::Token token = 0;
    const std::string_view key = entry.key();
    const auto end = std::from_chars(key.data(), key.data() + key.size(), token);
    if (end.ec != std::errc() || end.ptr != key.data() + key.size()) {
      fields.wrong("logit_bias", "a key that is no token id", "token ids, as \"123\"");
      return;
    }
    const std::optional<double> bias = entry.as_double();
    if (!bias || *bias < -100 || *bias > 100) {
      fields.wrong(cat("logit_bias.", token),
                   bias ? cat(*bias) : std::string(json::name_of(entry.type())),
                   "a number from -100 to 100");
      return;
    }
    options.logit_bias[token] = static_cast<float>(*bias);
  }
}

// Options that OpenAI defines and this function does not do. What asks for nothing (n: 1, tools:
// []) passes; what would change the answer is refused, not ignored.
void refuse_unsupported(Fields& fields) {
  struct Limit {
    std::string_view name;
    std::uint64_t most;
  };
  for (const Limit& limit : {Limit{"n", 1}, Limit{"best_of", 1}}) {
    const std::optional<std::uint64_t> number =
        fields.integer(limit.name, 0, std::numeric_limits<std::uint32_t>::max());
    if (number && *number > limit.most) {
      fields.unsupported(limit.name, cat("more than ", limit.most, " is not supported"));
    }
  }
  if (fields.boolean("echo").value_or(false)) {
    fields.unsupported("echo", "not supported; leave it out");
  }
  for (const std::string_view name : {"tools", "functions", "audio", "web_search_options"}) {
    if (is_asked_for(fields.any(name))) fields.unsupported(name, "not supported; leave it out");
  }
  for (const std::string_view name : {"tool_choice", "function_call"}) {
    const Value value = fields.any(name);
    if (!value.is_nothing() && value.text() != "none" && value.text() != "auto") {
      fields.unsupported(name, "this function calls no tools");
    }
  }
  if (const Value suffix = fields.any("suffix"); !suffix.is_nothing() && suffix.text() != "") {
    fields.unsupported("suffix", "not supported; leave it out");
  } else if (!suffix.is_nothing() && !suffix.is_string()) {
    fields.wrong("suffix", json::name_of(suffix.type()), "a string");
  }
  const Value format = fields.object("response_format");
  if (format && !format.is_nothing() && format["type"].text() != "text") {
    fields.unsupported("response_format", "only {\"type\": \"text\"} is supported");
  }
  for (const Value& modality : fields.any("modalities")) {
    if (modality.text() != "text") fields.unsupported("modalities", "only [\"text\"] is supported");
  }
}

// Chat says whether and how many (logprobs, top_logprobs); completions say how many at once. A
// completion that asks for none still gets those of the chosen tokens.
void read_logprobs(Fields& fields, Shape shape, GenerationRequest& request) {
  if (shape == Shape::kCompletion && fields.any("logprobs").type() != Type::kBool) {
    const auto count = fields.integer("logprobs", 0, kTopLogprobsMax);
    request.logprobs = count.has_value();
    request.top_logprobs = static_cast<std::uint32_t>(count.value_or(0));
    return;
  }
  request.logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kTopLogprobsMax);
  request.top_logprobs = static_cast<std::uint32_t>(top.value_or(0));
  if (request.top_logprobs > 0 && !request.logprobs) {
    fields.wrong("top_logprobs", "it without 'logprobs'", "'logprobs': true beside it");
  }
}

void read_thinking(Fields& fields, std::optional<bool>& enable_thinking) {
  if (const std::optional<bool> enabled = fields.boolean("enable_thinking")) {
    enable_thinking = enabled;
  }
  if (const Value arguments = fields.object("chat_template_kwargs")) {
    for (const std::string_view name : {"enable_thinking", "thinking"}) {  // Qwen's and DeepSeek's
      const Value enabled = arguments[name];
      if (enabled.type() == Type::kBool) {
        enable_thinking = enabled.is_true();
      } else if (!enabled.is_nothing()) {
        fields.wrong(cat("chat_template_kwargs.", name), json::name_of(enabled.type()),
                     "true or false");
      }
    }
  }
  if (const Value thinking = fields.object("thinking"); thinking.is_object()) {  // DeepSeek's
    const std::string_view type = thinking["type"].text();
    if (type == "enabled" || type == "disabled") {
      enable_thinking = type == "enabled";
    } else {
      fields.wrong("thinking.type", "another value", "'enabled' or 'disabled'");
    }
  }
}

void read_stream(Fields& fields, Request& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const Value options = fields.object("stream_options");
  if (!options.is_object()) return;
  const Value usage = options["include_usage"];
  if (!usage.is_nothing() && usage.type() != Type::kBool) {
    fields.wrong("stream_options.include_usage", json::name_of(usage.type()), "true or false");
  }
  request.include_usage = usage.is_true();
}

void start_from_defaults(const Manifest& manifest, std::uint64_t seed, Request& request) {
  request.generation.sampling = manifest.sampling;
  if (!manifest.seeded) request.generation.sampling.seed = seed;
  request.generation.max_tokens = manifest.max_tokens;
}

}  // namespace

void read_sampling(Fields& fields, text::SamplerOptions& options, bool& seeded) {
  const auto set = [&](std::string_view name, double least, double most, float& to) {
    if (const auto number = fields.number(name, least, most)) to = static_cast<float>(*number);
  };
  set("temperature", 0, 2, options.temperature);
  set("top_p", 0, 1, options.top_p);
  set("min_p", 0, 1, options.min_p);
  set("repetition_penalty", 0.01, 10, options.repetition_penalty);
  set("presence_penalty", -2, 2, options.presence_penalty);
  set("frequency_penalty", -2, 2, options.frequency_penalty);
  // Some clients spell "off" as -1.
  if (const std::optional<std::int64_t> top_k = fields.any("top_k").as_int64(); top_k == -1) {
    options.top_k = 0;
  } else if (const auto count = fields.integer("top_k", 0, 0x7FFFFFFF)) {
    options.top_k = static_cast<std::uint32_t>(*count);
  }
  // Any 64 bits are a seed, signed or not.
  const Value seed = fields.any("seed");
  if (const std::optional<std::int64_t> negative = seed.as_int64(); negative && *negative < 0) {
    options.seed = static_cast<std::uint64_t>(*negative);
    seeded = true;
  } else if (const auto number = fields.integer("seed", 0, ~std::uint64_t{0})) {
    options.seed = *number;
    seeded = true;
  }
  read_logit_bias(fields, options);
}

std::variant<Request, FieldError> read_request(Shape shape, const Value& body,
                                               const Manifest& manifest, std::uint64_t seed) {
  if (!body.is_object()) {
    return FieldError{Code::kInvalid, "",
                      cat("request: found ", json::name_of(body.type()), ", wanted an object")};
  }
  Fields fields(body);
  Request request;
  start_from_defaults(manifest, seed, request);
  read_task(fields, shape, manifest, request);
  for (const std::string_view name : {"max_tokens", "max_completion_tokens"}) {
    if (const auto most = fields.integer(name, 1, manifest.max_tokens_limit)) {
      request.generation.max_tokens = static_cast<std::uint32_t>(*most);
    }
  }
  bool seeded = false;
  read_sampling(fields, request.generation.sampling, seeded);
  read_stop(fields, request.generation.stop);
  read_stream(fields, request);
  read_logprobs(fields, shape, request.generation);
  read_thinking(fields, request.generation.enable_thinking);
  for (const std::string_view name : {"model", "user"}) (void)fields.text(name);
  refuse_unsupported(fields);
  if (fields.failed()) return fields.error();
  return request;
}

Request request_of_prompt(std::string_view prompt, const Manifest& manifest, std::uint64_t seed) {
  Request request;
  start_from_defaults(manifest, seed, request);
  request.generation.prompt = prompt_for_task(std::string(prompt), manifest);
  return request;
}

std::uint64_t seed_of(std::string_view request_id) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char letter : request_id) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211u;
  }
  return hash;
}

}  // namespace thaw::handler
