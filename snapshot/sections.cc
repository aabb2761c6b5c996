#include "snapshot/sections.h"

#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::snapshot {
namespace {

struct TypeName {
  SectionType type;
  std::string_view name;
};

constexpr TypeName kTypeNames[] = {
    {SectionType::kChecksums, "checksums"},
    {SectionType::kManifest, "manifest"},
    {SectionType::kManifestBinary, "manifest-binary"},
    {SectionType::kMetadata, "metadata"},
    {SectionType::kModel, "model"},
    {SectionType::kTensors, "tensors"},
    {SectionType::kWeights, "weights"},
    {SectionType::kEmbedding, "embedding"},
    {SectionType::kTokenizer, "tokenizer"},
    {SectionType::kTemplate, "template"},
    {SectionType::kTemplateSource, "template-source"},
    {SectionType::kPrefix, "prefix"},
    {SectionType::kExperts, "experts"},
    {SectionType::kSeal, "seal"},
    {SectionType::kOverlay, "overlay"},
    {SectionType::kIdentity, "identity"},
    {SectionType::kPrefixKv, "prefix-kv"},
};

}  // namespace

std::string_view name_of(SectionType type) {
  for (const TypeName& known : kTypeNames) {
    if (known.type == type) return known.name;
  }
  return "unknown";
}

Result<Bytes> Sections::section(SectionType type, std::string_view name) const {
  for (const Section& section : sections_) {
    if (section.type == type && (name.empty() || section.name == name)) return section.bytes;
  }
  const std::string which = name.empty() ? std::string() : cat(' ', quote(name));
  return fail(Code::kNotFound, cat("read ", quote(path_), ": it has no section ", name_of(type),
                                   which, "; freeze it anew"));
}

}  // namespace thaw::snapshot
