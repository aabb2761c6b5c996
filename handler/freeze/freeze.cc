#include "handler/freeze/freeze.h"

#include <algorithm>
#include <map>

#include "base/str.h"
#include "handler/freeze/weights_writer.h"
#include "handler/manifest.h"
#include "handler/text/chat_template.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"

namespace thaw::freeze {
namespace {

using snapshot::SectionType;

constexpr std::uint64_t kManifestBytesMax = 1 << 20;

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

// The manifest that options ask for, over the one that is there already (`before` may be empty).
Result<std::pair<std::string, handler::Manifest>> make_manifest(const FreezeOptions& options,
                                                                std::string before) {
  std::string json = options.manifest_json.value_or(std::move(before));
  if (json.size() > kManifestBytesMax) {
    return fail(Code::kLimit,
                cat("freeze: a manifest of ", json.size(), " bytes, limit ", kManifestBytesMax));
  }
  if (json.empty()) json = "{}";
  THAW_TRY(manifest, handler::parse_manifest(json));
  if (options.system) manifest.system = *options.system;
  return std::pair(std::move(json), std::move(manifest));
}

Result<Done> add_manifest(snapshot::Writer& writer, const FreezeOptions& options,
                          std::string before, const handler::Manifest* compiled_before) {
  THAW_TRY(made, make_manifest(options, std::move(before)));
  auto& [json, manifest] = made;
  if (!options.system && !options.manifest_json && compiled_before != nullptr) {
    manifest = *compiled_before;
  }
  // What comes from options has not been through the parser: hold it to the reader's bounds.
  const std::vector<std::byte> compiled = handler::compile_manifest(manifest);
  const auto readable = handler::read_manifest(compiled);
  if (!readable) {
    return fail(Code::kInvalid, cat("freeze: the manifest with its system message cannot be used: ",
                                    readable.error().message));
  }
  THAW_TRY_DO(writer.add(SectionType::kManifest, {}, as_bytes(json)));
  return writer.add(SectionType::kManifestBinary, {}, compiled);
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
  THAW_TRY(tokenizer, text::build_tokenizer(source.tokenizer));
  THAW_TRY(layout, lay_out_weights(source, options.weights));
  THAW_TRY(writer, snapshot::Writer::create(files, path));
  THAW_TRY_DO(add_manifest(*writer, options, {}, nullptr));
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
  THAW_TRY_DO(writer->finish());
  summarise(layout, report);
  if (const auto made = files.stat(path)) report.snapshot_bytes = made->bytes;
  return report;
}

// A snapshot again, with another manifest: everything else is copied.
Result<FreezeReport> freeze_again(Files& files, const std::string& source, const std::string& path,
                                  const FreezeOptions& options, const FreezeProgress& progress) {
  THAW_TRY(reader, snapshot::Reader::open(files, source));
  THAW_TRY_DO(reader->verify());
  if (options.weights != Weights::kKeep) {
    return fail(Code::kInvalid, cat("freeze '", source,
                                    "': a snapshot's weights are kept as they are; to change their "
                                    "kind, freeze the original model"));
  }
  THAW_TRY(writer, snapshot::Writer::create(files, path));
  std::string json;
  if (const auto before = reader->section(SectionType::kManifest)) json = as_text(*before);
  std::optional<handler::Manifest> compiled;
  if (const auto bytes = reader->section(SectionType::kManifestBinary)) {
    THAW_TRY(manifest, handler::read_manifest(*bytes));
    compiled = std::move(manifest);
  }
  THAW_TRY_DO(add_manifest(*writer, options, std::move(json), compiled ? &*compiled : nullptr));
  for (const snapshot::Section& section : reader->sections()) {
    const bool left = section.type == SectionType::kManifest ||
                      section.type == SectionType::kManifestBinary ||
                      section.type == SectionType::kChecksums;
    if (left) continue;
    THAW_TRY_DO(writer->begin(section.type, section.name));
    constexpr std::size_t kPiece = 8 << 20;
    for (std::size_t at = 0; at < section.bytes.size(); at += kPiece) {
      THAW_TRY_DO(
          writer->append(section.bytes.subspan(at, std::min(kPiece, section.bytes.size() - at))));
      if (progress) progress(section.offset + at, reader->file_bytes());
    }
    THAW_TRY_DO(writer->end());
  }
  THAW_TRY_DO(writer->finish());
  FreezeReport report;
  report.format = "snapshot";
  report.notes.push_back("weights, tokenizer and template copied as they are");
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
    return freeze_again(files, source, path, options, progress);
  }
  THAW_TRY(opened, open_gguf(files, source));
  return freeze_model(files, *opened, path, options, pool, progress);
}

}  // namespace thaw::freeze
