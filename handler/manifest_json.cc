// The manifest's JSON form; MANIFEST.md is its documentation.
#include <algorithm>
#include <initializer_list>

#include "base/str.h"
#include "handler/event/json.h"
#include "handler/fields.h"
#include "handler/manifest.h"
#include "handler/request.h"
#include "snapshot/name.h"

namespace thaw::handler {
namespace {

// A misspelt field would silently change what a function does, so unknown ones are errors.
void refuse_unknown(Fields& fields, const json::Value& object,
                    std::initializer_list<std::string_view> known) {
  std::string names;
  for (const std::string_view name : known) names += cat(names.empty() ? "" : ", ", name);
  for (const json::Value& member : object) {
    if (std::find(known.begin(), known.end(), member.key()) == known.end()) {
      fields.wrong(member.key(), "an unknown field", names);
    }
  }
}

Result<Done> take_error(const Fields& fields) {
  if (!fields.failed()) return Done{};
  return fail(Code::kInvalid, cat("manifest ", fields.error().message));
}

Result<Done> read_defaults(const json::Value& object, Manifest& manifest) {
  Fields fields(object, "defaults.");
  refuse_unknown(fields, object,
                 {"max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
                  "presence_penalty", "frequency_penalty", "logit_bias", "seed"});
  const auto max_tokens = fields.integer("max_tokens", 1, manifest.max_tokens_limit);
  if (max_tokens) manifest.max_tokens = static_cast<std::uint32_t>(*max_tokens);
  read_sampling(fields, manifest.sampling, manifest.seeded);
  return take_error(fields);
}

Result<Done> read_limits(const json::Value& object, Manifest& manifest) {
  Fields fields(object, "limits.");
  refuse_unknown(fields, object, {"max_tokens", "event_bytes"});
  if (const auto most = fields.integer("max_tokens", 1, kTokensLimitMax)) {
    manifest.max_tokens_limit = static_cast<std::uint32_t>(*most);
    manifest.max_tokens = std::min(manifest.max_tokens, manifest.max_tokens_limit);
  }
  if (const auto most = fields.integer("event_bytes", 1024, kEventBytesLimitMax)) {
    manifest.event_bytes_max = static_cast<std::uint32_t>(*most);
  }
  return take_error(fields);
}

// One step, or an array of them.
void read_path(Fields& fields, std::string_view name, SourceMapping::Use use,
               SourceMapping& mapping) {
  const json::Value path = fields.any(name);
  if (path.is_nothing()) return;
  constexpr std::string_view kWanted = "a JSON Pointer, or an array of these and of decodings";
  if (!mapping.path.empty()) return fields.wrong(name, "'prompt' beside it", "one of them");
  mapping.use = use;
  if (path.is_string()) {
    mapping.path.emplace_back(path.text());
    return;
  }
  if (!path.is_array() || path.size() == 0) {
    return fields.wrong(name, json::name_of(path.type()), kWanted);
  }
  for (const json::Value& step : path) {
    if (!step.is_string()) return fields.wrong(name, json::name_of(step.type()), kWanted);
    mapping.path.emplace_back(step.text());
  }
}

Result<Done> read_mapping(const json::Value& object, std::string_view prefix,
                          SourceMapping& mapping) {
  Fields fields(object, prefix);
  refuse_unknown(fields, object, {"prompt", "request", "answer", "at_once"});
  read_path(fields, "prompt", SourceMapping::Use::kPrompt, mapping);
  read_path(fields, "request", SourceMapping::Use::kRequest, mapping);
  const json::Value answer = fields.any("answer");
  if (answer.is_object()) {
    Fields inside(answer, cat(prefix, "answer."));
    refuse_unknown(inside, answer, {"directory"});
    if (const auto directory = inside.text("directory")) mapping.directory = *directory;
    if (!inside.failed() && mapping.directory.empty()) {
      inside.wrong("directory", "nothing", "an absolute path");
    }
    THAW_TRY_DO(take_error(inside));
  } else if (!answer.is_nothing() && answer.text() != "return") {
    fields.wrong("answer", answer.is_string() ? "another string" : json::name_of(answer.type()),
                 "'return' or {'directory'}");
  }
  if (const auto count = fields.integer("at_once", 1, kAtOnceMax)) {
    mapping.at_once = static_cast<std::uint32_t>(*count);
  }
  return take_error(fields);
}

Result<Done> read_events(const json::Value& object, Manifest& manifest) {
  for (const json::Value& member : object) {
    SourceMapping mapping;
    mapping.source = member.key();
    const std::string prefix = cat("events.", member.key());
    if (!member.is_object()) {
      return fail(Code::kInvalid, cat("manifest ", snapshot::quote(prefix), ": found ",
                                      json::name_of(member.type()), ", wanted an object"));
    }
    THAW_TRY_DO(read_mapping(member, cat(prefix, "."), mapping));
    manifest.events.push_back(std::move(mapping));
  }
  std::sort(manifest.events.begin(), manifest.events.end(),
            [](const SourceMapping& a, const SourceMapping& b) { return a.source < b.source; });
  return Done{};
}

void read_prefixes(Fields& fields, Manifest& manifest) {
  constexpr std::string_view kWanted = "an array of at most 64 names of files";
  const json::Value list = fields.any("prefixes");
  if (list.is_nothing()) return;
  if (!list.is_array() || list.size() > kPrefixFilesMax) {
    fields.wrong("prefixes", json::name_of(list.type()), kWanted);
    return;
  }
  for (const json::Value& item : list) {
    const bool good =
        item.is_string() && !item.text().empty() && item.text().size() <= kPrefixPathBytesMax;
    if (!good) return fields.wrong("prefixes", "an item that is no file's name", kWanted);
    manifest.prefixes.emplace_back(item.text());
  }
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view json) {
  Result<json::Document> document = json::Document::parse(json);
  if (!document) {
    return fail(Code::kInvalid, cat("manifest: ", document.error().message));
  }
  const json::Value root = document->root();
  if (!root.is_object()) {
    return fail(Code::kInvalid,
                cat("manifest: found ", json::name_of(root.type()), ", wanted an object"));
  }
  Manifest manifest;
  Fields fields(root);
  refuse_unknown(fields, root,
                 {"$schema", "name", "task", "system", "prefixes", "invoke_mode", "defaults",
                  "limits", "events"});
  if (const auto name = fields.text("name")) manifest.name = *name;
  if (const auto task = fields.text("task")) manifest.task = *task;
  if (const auto system = fields.text("system")) manifest.system = *system;
  read_prefixes(fields, manifest);
  if (const auto mode = fields.text("invoke_mode")) {
    if (*mode != "streaming" && *mode != "buffered") {
      fields.wrong("invoke_mode", "another string", "'streaming' or 'buffered'");
    }
    manifest.buffered = *mode == "buffered";
  }
  const json::Value limits = fields.object("limits");
  const json::Value defaults = fields.object("defaults");
  const json::Value events = fields.object("events");
  THAW_TRY_DO(take_error(fields));
  THAW_TRY_DO(read_limits(limits, manifest));  // before the defaults, which it bounds
  THAW_TRY_DO(read_defaults(defaults, manifest));
  THAW_TRY_DO(read_events(events, manifest));
  THAW_TRY_DO(validate(manifest));
  return manifest;
}

}  // namespace thaw::handler
