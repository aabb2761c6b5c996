// The tokenizer's tables as they lie in a snapshot: little-endian, offsets from their own start,
// position-independent. Written by build_tokenizer (tokenizer_build.cc), read here. A reader must
// survive any bytes: what a table says is checked where it is used, so that damage gives wrong
// tokens but never a wrong access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/text/pre_tokenizer.h"

namespace thaw::text {

inline constexpr std::uint32_t kTablesMagic = 0x4E4B4F54;  // "TOKN"
inline constexpr std::uint32_t kTablesVersion = 1;         // readers refuse any other
inline constexpr std::uint32_t kNoToken = 0xFFFFFFFF;
inline constexpr std::uint32_t kVocabularyMax = 1u << 24;  // fifty times the largest in use
inline constexpr std::uint32_t kTokenBytesMax = 1u << 16;  // the longest in use have a few hundred
inline constexpr std::uint32_t kEndsMax = 64;
// How far a lookup goes along a hash table; the writer chooses table and seed so that it suffices.
inline constexpr std::uint32_t kProbesMax = 256;

enum TablesFlag : std::uint32_t {
  kFlagAddBos = 1,
  kFlagAddEos = 2,
  kFlagAddSpacePrefix = 4,
  kFlagIgnoreMerges = 8,
  kFlagNfc = 16,
  kFlagSentencePiece = 32,
  kFlagSpacesLead = 64,  // no token that merging can give has a space after anything but spaces
};

// Where a table begins, and how many entries it has.
struct TableRange {
  std::uint32_t offset;
  std::uint32_t count;
};

struct TablesHeader {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t bytes;       // of all tables with this header
  std::uint32_t flags;       // TablesFlag
  std::uint32_t pre;         // PreTokenizer
  std::uint32_t vocabulary;  // at most kVocabularyMax
  std::uint32_t bos;         // kNoToken where there is none, and so below
  std::uint32_t eos;
  std::uint32_t unknown;
  std::uint32_t padding;
  std::uint32_t hash_seed;
  std::uint32_t token_bytes_max;  // the longest token that a lookup can find
  TableRange token_offsets;       // u32 [vocabulary + 1], into text
  TableRange text;                // the bytes that tokens stand for, one after another
  TableRange types;               // u8 [vocabulary], TokenType
  TableRange scores;              // f32 [vocabulary] (SentencePiece), else empty
  TableRange byte_tokens;         // u32 [256]: the token of a single byte
  TableRange ends;                // u32: generation stops at these, ascending
  TableRange by_text;             // u32, open addressing by hash of a token's bytes
  TableRange merges;              // Merge, open addressing by hash of the pair
  TableRange added;               // u32: tokens cut out of raw text, ascending by bytes
  TableRange added_first;         // u32 [257]: where in `added` those with a first byte begin
  TableRange added_kinds;         // u8 [256]: AddedKind of those with a first byte
  TableRange pre_name;            // the pre-tokenizer as the source named it
};
static_assert(sizeof(TablesHeader) == 144);

struct Merge {
  std::uint32_t left;  // kNoToken: an empty slot
  std::uint32_t right;
  std::uint32_t rank;
  std::uint32_t merged;
};
static_assert(sizeof(Merge) == 16);

enum AddedKind : std::uint8_t {
  kAddedUserDefined = 1,  // cut out of any text
  kAddedSpecial = 2,      // cut out of special text only
};

std::uint64_t hash_bytes(std::string_view bytes, std::uint32_t seed);
std::uint64_t hash_pair(std::uint32_t left, std::uint32_t right, std::uint32_t seed);
// Where the search for a hash begins among `count` slots; it goes on to the next one, and round.
inline std::uint32_t first_slot(std::uint64_t hash, std::uint32_t count) {
  return static_cast<std::uint32_t>((hash & 0xFFFFFFFF) * count >> 32);
}
inline std::uint32_t next_slot(std::uint32_t slot, std::uint32_t count) {
  return slot + 1 == count ? 0 : slot + 1;
}

// A checked view over the tables. Cheap to copy; borrows the bytes.
class TokenizerTables {
 public:
  // Errors: kCorrupt (bounds, sizes, counts), kUnsupported (another version).
  static Result<TokenizerTables> open(Bytes tables);

  const TablesHeader& header() const { return header_; }
  bool has(TablesFlag flag) const { return (header_.flags & flag) != 0; }
  PreTokenizer pre() const { return static_cast<PreTokenizer>(header_.pre); }
  std::string_view pre_name() const { return text_at(header_.pre_name); }
  std::uint32_t vocabulary() const { return header_.vocabulary; }

  // Empty for tokens out of range or with damaged offsets.
  std::string_view bytes_of(std::uint32_t token) const;
  // 0 for tokens out of range.
  std::uint8_t type_of(std::uint32_t token) const;
  float score_of(std::uint32_t token) const;
  std::uint32_t byte_token(std::uint8_t byte) const {
    return element<std::uint32_t>(header_.byte_tokens, byte);
  }
  bool is_end(std::uint32_t token) const;

  // The token that may arise by merging and stands for exactly these bytes, or kNoToken.
  std::uint32_t find(std::string_view bytes) const;
  // What a pair merges to, and when.
  std::optional<Merge> find_merge(std::uint32_t left, std::uint32_t right) const;
  // The longest added token at the front of `text`, special ones only where `special`; or kNoToken.
  std::uint32_t match_added(std::string_view text, bool special) const;
  // Whether any added token of these kinds begins with `first`.
  bool may_begin_added(char first, bool special) const {
    const auto kinds = element<std::uint8_t>(header_.added_kinds, static_cast<std::uint8_t>(first));
    return (kinds & (special ? kAddedUserDefined | kAddedSpecial : kAddedUserDefined)) != 0;
  }
  bool has_added() const { return header_.added.count != 0; }

 private:
  TokenizerTables(Bytes tables, const TablesHeader& header) : tables_(tables), header_(header) {}

  // Precondition: index < range.count, and open() has checked the range for this T.
  template <class T>
  T element(const TableRange& range, std::size_t index) const {
    return load<T>(tables_.data() + range.offset + index * sizeof(T));
  }
  std::string_view text_at(const TableRange& range) const {
    return as_text(tables_.subspan(range.offset, range.count));
  }

  Bytes tables_;
  TablesHeader header_;
};

}  // namespace thaw::text
