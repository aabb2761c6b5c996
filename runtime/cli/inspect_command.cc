#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/event/json.h"
#include "handler/manifest.h"
#include "handler/model/config.h"
#include "handler/model/prefix.h"
#include "kernels/kind.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"
#include "snapshot/reader.h"

namespace thaw::cli {
namespace {

using nlohmann::json;
using snapshot::SectionType;

// A section's JSON; null where it is none, or deeper than our own reader goes: nlohmann's writer
// would follow it down the stack.
json parse(Bytes section) {
  if (!thaw::json::Document::parse(as_text(section))) return nullptr;
  json parsed = json::parse(as_text(section), nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? json() : parsed;
}

json model_json(const snapshot::Reader& reader) {
  const auto section = reader.section(SectionType::kModel);
  if (!section) return nullptr;
  const auto config = load_at<model::Config>(*section, 0);
  if (!config) return nullptr;
  const auto architecture = static_cast<model::Architecture>(config->architecture);
  return {{"architecture", model::name_of(architecture)},
          {"layers", config->layers},
          {"dim", config->dim},
          {"heads", config->heads},
          {"kv_heads", config->kv_heads},
          {"head_dim", config->head_dim},
          {"ffn_dim", config->ffn_dim},
          {"vocabulary", config->vocabulary},
          {"context_tokens", config->context_tokens},
          {"arithmetic_version", config->arithmetic_version}};
}

struct TensorRow {
  std::string name;
  std::string_view kind;
  std::uint32_t rows, cols;
  std::uint64_t bytes;
};

std::vector<TensorRow> tensor_rows(const snapshot::Reader& reader) {
  std::vector<TensorRow> rows;
  const auto table = reader.section(SectionType::kTensors);
  if (!table) return rows;
  for (std::size_t at = 0; at + sizeof(model::TensorEntry) <= table->size();
       at += sizeof(model::TensorEntry)) {
    const auto entry = load<model::TensorEntry>(table->data() + at);
    const kernels::KindInfo* kind = kernels::find_kind(entry.kind);
    rows.push_back({model::tensor_name(static_cast<model::Role>(entry.role), entry.layer),
                    kind == nullptr ? "unknown" : kind->name, entry.rows, entry.cols, entry.bytes});
  }
  return rows;
}

struct PrefixRow {
  std::string name;
  std::uint32_t tokens;
  std::uint64_t bytes;  // of its KV cache
};

std::vector<PrefixRow> prefix_rows(const snapshot::Reader& reader) {
  std::vector<PrefixRow> rows;
  for (const snapshot::Section& section : reader.sections()) {
    if (section.type != SectionType::kPrefix) continue;
    const auto head = load_at<model::PrefixHead>(section.bytes, 0);
    const auto kv = reader.section(SectionType::kPrefixKv, section.name);
    rows.push_back({std::string(section.name), head ? head->tokens : 0, kv ? kv->size() : 0});
  }
  return rows;
}

json inspect_json(const InspectArguments& arguments, const snapshot::Reader& reader) {
  json all = {{"path", arguments.path},
              {"bytes", reader.file_bytes()},
              {"version", cat(snapshot::kVersionMajor, ".", reader.version_minor())},
              {"model", model_json(reader)}};
  json sections = json::array();
  for (const snapshot::Section& section : reader.sections()) {
    sections.push_back({{"type", snapshot::name_of(section.type)},
                        {"name", section.name},
                        {"offset", section.offset},
                        {"bytes", section.bytes.size()}});
  }
  all["sections"] = sections;
  if (const auto manifest = reader.section(SectionType::kManifest)) {
    all["manifest"] = parse(*manifest);
  }
  if (const auto metadata = reader.section(SectionType::kMetadata)) {
    all["metadata"] = parse(*metadata);
  }
  json prefixes = json::array();
  for (const PrefixRow& row : prefix_rows(reader)) {
    prefixes.push_back({{"name", row.name}, {"tokens", row.tokens}, {"bytes", row.bytes}});
  }
  all["prefixes"] = prefixes;
  json tensors = json::array();
  for (const TensorRow& row : tensor_rows(reader)) {
    tensors.push_back({{"name", row.name},
                       {"kind", row.kind},
                       {"rows", row.rows},
                       {"cols", row.cols},
                       {"bytes", row.bytes}});
  }
  all["tensors"] = tensors;
  if (arguments.verify) all["verified"] = true;
  return all;
}

// For people: long strings (a system message) are cut.
void shorten(json& value) {
  constexpr std::size_t kShown = 60;
  if (value.is_structured()) {
    for (json& item : value) shorten(item);
  } else if (value.is_string() && value.get_ref<const std::string&>().size() > 2 * kShown) {
    const std::string& all = value.get_ref<const std::string&>();
    value = cat(all.substr(0, kShown), "[...] (", all.size(), " bytes)");
  }
}

void print(const InspectArguments& arguments, const snapshot::Reader& reader, std::FILE* out) {
  std::fprintf(out, "%s: snapshot %u.%u, %s\n", arguments.path.c_str(),
               static_cast<unsigned>(snapshot::kVersionMajor),
               static_cast<unsigned>(reader.version_minor()),
               megabytes(reader.file_bytes()).c_str());
  const json model = model_json(reader);
  if (!model.is_null()) {
    std::fprintf(out,
                 "\n%s: %u layers of %u, %u heads (%u kv) of %u, feed-forward %u, vocabulary "
                 "%u, context %u\n",
                 model["architecture"].get<std::string>().c_str(), model["layers"].get<unsigned>(),
                 model["dim"].get<unsigned>(), model["heads"].get<unsigned>(),
                 model["kv_heads"].get<unsigned>(), model["head_dim"].get<unsigned>(),
                 model["ffn_dim"].get<unsigned>(), model["vocabulary"].get<unsigned>(),
                 model["context_tokens"].get<unsigned>());
  }
  for (const auto type : {SectionType::kMetadata, SectionType::kManifest}) {
    const auto section = reader.section(type);
    if (!section) continue;
    json parsed = parse(*section);
    shorten(parsed);
    const std::string text = parsed.is_null()
                                 ? "(not JSON)"
                                 : parsed.dump(-1, ' ', false, json::error_handler_t::replace);
    std::fprintf(out, "%s: %s\n", std::string(snapshot::name_of(type)).c_str(), text.c_str());
  }
  std::fputc('\n', out);
  Table table({2, 3});
  table.add({"section", "name", "offset", "bytes"});
  for (const snapshot::Section& section : reader.sections()) {
    table.add({std::string(snapshot::name_of(section.type)), std::string(section.name),
               cat(section.offset), cat(section.bytes.size())});
  }
  table.print(out);
  if (const auto rows = prefix_rows(reader); !rows.empty()) {
    std::fputc('\n', out);
    Table prefixes({1, 2});
    prefixes.add({"prefix", "tokens", "bytes"});
    for (const PrefixRow& row : rows) prefixes.add({row.name, cat(row.tokens), cat(row.bytes)});
    prefixes.print(out);
  }
  if (arguments.tensors) {
    std::fputc('\n', out);
    Table list({2, 3, 4});
    list.add({"tensor", "kind", "rows", "cols", "bytes"});
    for (const TensorRow& row : tensor_rows(reader)) {
      list.add({row.name, std::string(row.kind), cat(row.rows), cat(row.cols), cat(row.bytes)});
    }
    list.print(out);
  }
  if (arguments.verify) {
    std::fprintf(out, "\nverified: every byte of %s\n", megabytes(reader.file_bytes()).c_str());
  }
}

}  // namespace

Result<Done> inspect(const InspectArguments& arguments, const Context& context) {
  THAW_TRY(reader, snapshot::Reader::open(context.files, arguments.path));
  if (arguments.verify) THAW_TRY_DO(reader->verify());
  if (arguments.json) {
    std::fprintf(context.out, "%s\n",
                 inspect_json(arguments, *reader)
                     .dump(2, ' ', false, json::error_handler_t::replace)
                     .c_str());
  } else {
    print(arguments, *reader, context.out);
  }
  return Done{};
}

}  // namespace thaw::cli
