#include "handler/freeze/freeze.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/event/utf8.h"
#include "handler/freeze/prefixes.h"
#include "handler/freeze/weights_writer.h"
#include "handler/manifest.h"
#include "handler/text/chat_template.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"

namespace thaw::freeze {
namespace {

using snapshot::SectionType;

constexpr std::uint64_t kManifestBytesMax = 4 << 20;

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out.push_back('\\');
    if (byte < 0x20) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

// What the manifest section says, and what it means.
struct MadeManifest {
  std::string json;
  handler::Manifest manifest;
};

// The JSON with the system message and prefixes that options give; as it is where they give none.
// Precondition: it is a manifest, which bounds how deep it is.
std::string with_options(std::string json, const FreezeOptions& options) {
  const auto all = nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object()) return json;
  nlohmann::ordered_json changed = all;
  if (options.system) changed["system"] = *options.system;
  if (options.no_prefix) changed.erase("prefixes");
  for (const PrefixSource& source : options.prefixes) {
    auto& names = changed["prefixes"];
    const auto is_named = [&](const auto& name) {
      return name.is_string() && name.template get<std::string>() == source.file;
    };
    if (std::none_of(names.begin(), names.end(), is_named)) names.push_back(source.file);
  }
  if (changed == all) return json;
  return changed.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The manifest that options ask for, over the one that is there already (`before` may be empty).
Result<MadeManifest> make_manifest(const FreezeOptions& options, std::string before) {
  if (options.system && !event::is_utf8(*options.system)) {
    return fail(Code::kInvalid, "freeze: the system message is not UTF-8; give it as UTF-8");
  }
  MadeManifest made;
  made.json = options.manifest_json.value_or(std::move(before));
  if (made.json.empty()) made.json = "{}";
  const auto oversized = [&] { return made.json.size() > kManifestBytesMax; };
  if (!oversized()) {
    THAW_TRY_DO(handler::parse_manifest(made.json));
    made.json = with_options(std::move(made.json), options);
  }
  if (oversized()) {
    return fail(Code::kLimit, cat("freeze: a manifest of ", made.json.size(), " bytes, limit ",
                                  kManifestBytesMax));
  }
  THAW_TRY(manifest, handler::parse_manifest(made.json));
  made.manifest = std::move(manifest);
  return made;
}

Result<Done> add_manifest(snapshot::Writer& writer, const MadeManifest& made) {
  THAW_TRY_DO(writer.add(SectionType::kManifest, {}, as_bytes(made.json)));
  return writer.add(SectionType::kManifestBinary, {}, handler::compile_manifest(made.manifest));
}

// Whether the system message's prefix is to be stored. `notes` says why it is not, where one might
// expect it.
bool stores_system(const FreezeOptions& options, const handler::Manifest& manifest,
                   bool has_template, std::vector<std::string>& notes) {
  if (options.no_prefix || manifest.system.empty()) return false;
  if (has_template && manifest.task == "chat") return true;
  notes.push_back("prompts are raw text: the system message has no part in them");
  return false;
}

Result<Done> add_template(snapshot::Writer& writer, const ModelSource& source,
                          const FreezeOptions& options, FreezeReport& report) {
  if (!options.chat_template || source.chat_template.empty()) {
    report.notes.push_back(options.chat_template
                               ? "the model has no chat template: prompts are raw text"
                               : "chat template left out: prompts are raw text");
    return Done{};
  }
  auto compiled = text::compile_template(source.chat_template);
  if (!compiled) {
    return fail(compiled.error().code,
                cat(compiled.error().message,
                    "; to freeze without it, for raw prompts, add --no-chat-template"));
  }
  THAW_TRY_DO(writer.add(SectionType::kTemplate, {}, *compiled));
  return writer.add(SectionType::kTemplateSource, {}, as_bytes(source.chat_template));
}

std::string metadata_json(const ModelSource& source) {
  return cat(
      "{\"format\":", json_quoted(source.format), ",\"name\":", json_quoted(source.name),
      ",\"license\":", json_quoted(source.license), ",\"architecture\":",
      json_quoted(model::name_of(static_cast<model::Architecture>(source.config.architecture))),
      "}");
}

Result<FreezeReport> freeze_model(Files& files, const ModelSource& source, const std::string& path,
                                  const FreezeOptions& options, ThreadPool& pool,
                                  const FreezeProgress& progress) {
  FreezeReport report;
  report.format = source.format;
  report.name = source.name;
  report.architecture =
      model::name_of(static_cast<model::Architecture>(source.config.architecture));
  THAW_TRY(manifest, make_manifest(options, {}));
  THAW_TRY(tokenizer, text::build_tokenizer(source.tokenizer));
  THAW_TRY(layout, lay_out_weights(source, options.weights));
  THAW_TRY(writer, snapshot::Writer::create(files, path));
  THAW_TRY_DO(add_manifest(*writer, manifest));
  THAW_TRY_DO(writer->add(SectionType::kMetadata, {}, as_bytes(metadata_json(source))));
  THAW_TRY_DO(writer->begin(SectionType::kModel));
  THAW_TRY_DO(writer->append(std::as_bytes(std::span(&source.config, 1))));
  THAW_TRY_DO(writer->append(std::as_bytes(std::span(source.rope_turns))));
  THAW_TRY_DO(writer->end());
  THAW_TRY_DO(writer->begin(SectionType::kTensors));
  for (const PlacedTensor& tensor : layout) {
    THAW_TRY_DO(writer->append(std::as_bytes(std::span(&tensor.entry, 1))));
  }
  THAW_TRY_DO(writer->end());
  THAW_TRY_DO(writer->add(SectionType::kTokenizer, {}, tokenizer));
  THAW_TRY_DO(add_template(*writer, source, options, report));
  THAW_TRY_DO(write_weights(*writer, layout, pool, progress));
  PrefixPlan plan;
  const bool has_template = options.chat_template && !source.chat_template.empty();
  plan.system = stores_system(options, manifest.manifest, has_template, report.notes);
  if (!options.no_prefix) plan.sources = options.prefixes;
  THAW_TRY(written, writer->read_back());
  const PrefixContext context{*written, manifest.manifest, options.kernels, pool};
  THAW_TRY(prefixes, write_prefixes(*writer, plan, context, progress, report.notes));
  report.prefixes = std::move(prefixes);
  THAW_TRY_DO(writer->finish());
  summarise(layout, report);
  if (const auto made = files.stat(path)) report.snapshot_bytes = made->bytes;
  return report;
}

bool is_made_again(SectionType type) {
  switch (type) {
    case SectionType::kManifest:
    case SectionType::kManifestBinary:
    case SectionType::kIdentity:
    case SectionType::kPrefix:
    case SectionType::kPrefixKv:
    case SectionType::kChecksums: return true;
    default: return false;
  }
}

Result<Done> copy_sections(const snapshot::Reader& reader, snapshot::Writer& writer,
                           const FreezeProgress& progress) {
  constexpr std::size_t kPiece = 8 << 20;
  for (const snapshot::Section& section : reader.sections()) {
    if (is_made_again(section.type)) continue;
    THAW_TRY_DO(writer.begin(section.type, section.name));
    for (std::size_t at = 0; at < section.bytes.size(); at += kPiece) {
      THAW_TRY_DO(
          writer.append(section.bytes.subspan(at, std::min(kPiece, section.bytes.size() - at))));
      if (progress) progress({{}, section.offset + at, reader.file_bytes()});
    }
    THAW_TRY_DO(writer.end());
  }
  return Done{};
}

// The manifest of a snapshot, changed as options ask.
Result<MadeManifest> manifest_again(const snapshot::Reader& reader, const FreezeOptions& options) {
  std::string json;
  if (const auto before = reader.section(SectionType::kManifest)) json = as_text(*before);
  return make_manifest(options, std::move(json));
}

// A snapshot again, with another manifest or other prefixes: everything else is copied.
Result<FreezeReport> freeze_again(Files& files, const std::string& source, const std::string& path,
                                  const FreezeOptions& options, ThreadPool& pool,
                                  const FreezeProgress& progress) {
  THAW_TRY(reader, snapshot::Reader::open(files, source));
  THAW_TRY_DO(reader->verify());
  if (options.weights != Weights::kKeep) {
    return fail(Code::kInvalid, cat("freeze '", source,
                                    "': a snapshot's weights are kept as they are; to change their "
                                    "kind, freeze the original model"));
  }
  FreezeReport report;
  report.format = "snapshot";
  report.notes.push_back("weights, tokenizer and template copied as they are");
  THAW_TRY(manifest, manifest_again(*reader, options));
  THAW_TRY(writer, snapshot::Writer::create(files, path));
  THAW_TRY_DO(add_manifest(*writer, manifest));
  THAW_TRY_DO(copy_sections(*reader, *writer, progress));
  PrefixPlan plan;
  const bool has_template = reader->section(SectionType::kTemplate).has_value();
  plan.system = stores_system(options, manifest.manifest, has_template, report.notes);
  if (!options.no_prefix) {
    plan.sources = options.prefixes;
    plan.kept_from = &*reader;
  }
  const PrefixContext context{*reader, manifest.manifest, options.kernels, pool};
  THAW_TRY(prefixes, write_prefixes(*writer, plan, context, progress, report.notes));
  report.prefixes = std::move(prefixes);
  THAW_TRY_DO(writer->finish());
  if (const auto made = files.stat(path)) report.snapshot_bytes = made->bytes;
  return report;
}

}  // namespace

Result<FreezeReport> freeze(Files& files, const std::string& source, const std::string& path,
                            const FreezeOptions& options, ThreadPool& pool,
                            const FreezeProgress& progress) {
  THAW_TRY(entry, files.stat(source));
  if (entry.is_directory) {
    THAW_TRY(opened, open_hugging_face(files, source));
    return freeze_model(files, *opened, path, options, pool, progress);
  }
  THAW_TRY(file, files.open(source));
  std::array<std::byte, 4> magic{};
  if (file->size() >= magic.size()) THAW_TRY_DO(file->read_at(0, magic));
  if (load<std::uint32_t>(magic.data()) == snapshot::kMagic) {
    return freeze_again(files, source, path, options, pool, progress);
  }
  THAW_TRY(opened, open_gguf(files, source));
  return freeze_model(files, *opened, path, options, pool, progress);
}

}  // namespace thaw::freeze
