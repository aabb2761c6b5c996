// The snapshot's bytes; FORMAT.md is the specification with a worked example. Little-endian,
// offsets from the start of the file, position-independent. Everything here only ever appends.
//
// In the file's order: header, zeros up to 4096, sections, the checksums' section, the directory,
// with which the file ends.
#pragma once

#include <cstddef>
#include <cstdint>

namespace thaw::snapshot {

inline constexpr std::uint32_t kMagic = 0x57414854;  // "THAW" as bytes 54 48 41 57
inline constexpr std::uint16_t kVersionMajor = 1;    // readers refuse any other
inline constexpr std::uint16_t kVersionMinor = 0;
inline constexpr std::uint64_t kSectionAlign = 4096;      // bytes; so that a section can be mapped
inline constexpr std::uint64_t kWeightsAlign = 2u << 20;  // bytes; so that huge pages can hold it
inline constexpr std::uint64_t kGranuleBytes = 1u << 20;  // what one checksum covers
inline constexpr std::uint32_t kSectionCountMax = 4096;  // bounds what a corrupt header can ask for
inline constexpr std::size_t kSectionNameMax = 31;       // bytes, without the ending zero

struct Header {  // the first 64 bytes; never moves and never grows
  std::uint32_t magic;
  std::uint16_t version_major;
  std::uint16_t version_minor;     // fields only append
  std::uint64_t file_bytes;        // must equal the size of the file
  std::uint64_t directory_offset;  // kSectionAlign-aligned; the directory ends the file
  std::uint32_t section_count;
  std::uint32_t directory_crc32c;  // over section_count * 64 bytes
  std::uint8_t reserved[28];       // zero
  std::uint32_t header_crc32c;     // over the 60 bytes before it
};
static_assert(sizeof(Header) == 64 && offsetof(Header, header_crc32c) == 60);

// What a section means. Values never change; a reader ignores those it does not know.
enum class SectionType : std::uint32_t {
  kChecksums = 1,        // u32 crc32c of every granule of the file up to this section, the header
                         // in its final form included; exactly one, unnamed, the last section
  kManifest = 2,         // function manifest, JSON as given
  kManifestBinary = 3,   // the same, compiled (handler/manifest.h)
  kMetadata = 4,         // JSON: where the model came from, names, licence, what freeze did
  kModel = 5,            // model::Config and rope frequencies (handler/model/config.h)
  kTensors = 6,          // model::TensorEntry[] (handler/model/config.h)
  kWeights = 7,          // dense weights in forward order, panels
  kEmbedding = 8,        // an untied embedding table, rows; never read ahead
  kTokenizer = 9,        // text::Tokenizer tables
  kTemplate = 10,        // compiled chat template
  kTemplateSource = 11,  // the chat template's Jinja text
  kPrefix = 12,          // a token prefix: what it depends on, its tokens (handler/model/prefix.h)
  kExperts = 13,         // experts of mixture-of-experts layers, strided
  kSeal = 14,            // signature over the root of the checksums
  kOverlay = 15,         // the digest of the file that this one lies over
  kIdentity = 16,        // digests of what prefixes depend on (handler/model/prefix.h)
  kPrefixKv = 17,        // the KV cache of the prefix of the same name
};

struct DirectoryEntry {  // 64 bytes; entries lie in ascending order of offset
  std::uint32_t type;
  std::uint32_t flags;             // zero; a reader refuses bits that it does not know
  std::uint64_t offset;            // kSectionAlign-aligned; kWeights kWeightsAlign-aligned
  std::uint64_t bytes;             // without padding; padding up to the next section is zero
  std::uint64_t reserved;          // zero
  char name[kSectionNameMax + 1];  // unique within its type; zero-padded UTF-8
};
static_assert(sizeof(DirectoryEntry) == 64);

// What the offset of a section of this type is a multiple of.
constexpr std::uint64_t alignment_of(SectionType type) {
  return type == SectionType::kWeights ? kWeightsAlign : kSectionAlign;
}

}  // namespace thaw::snapshot
