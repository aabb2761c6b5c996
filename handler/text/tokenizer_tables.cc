#include "handler/text/tokenizer_tables.h"

#include <algorithm>

#include "base/str.h"
#include "handler/text/tokenizer.h"

namespace thaw::text {
namespace {

std::uint64_t mix(std::uint64_t x) {  // the finaliser of MurmurHash3
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDull;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53ull;
  x ^= x >> 33;
  return x;
}

Error corrupt(std::string_view what) {
  return fail(Code::kCorrupt, cat("open tokenizer: ", what, "; freeze the model anew"));
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint32_t seed) {
  std::uint64_t hash = mix(seed ^ bytes.size() * 0x9E3779B97F4A7C15ull);
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word);
    bytes.remove_prefix(8);
  }
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data(), bytes.size());
  return mix(hash ^ word);
}

std::uint64_t hash_pair(std::uint32_t left, std::uint32_t right, std::uint32_t seed) {
  const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | right;
  return mix(pair ^ seed * 0x9E3779B97F4A7C15ull);
}

Result<TokenizerTables> TokenizerTables::open(Bytes tables) {
  const auto loaded = load_at<TablesHeader>(tables, 0);
  if (!loaded || loaded->magic != kTablesMagic) return corrupt("this is no tokenizer table");
  const TablesHeader& h = *loaded;
  if (h.version != kTablesVersion) {
    return fail(Code::kUnsupported,
                cat("open tokenizer: tables of version ", h.version, ", this build reads version ",
                    kTablesVersion, "; freeze the model anew"));
  }
  if (h.bytes != tables.size()) {
    return corrupt(cat(tables.size(), " bytes, the header says ", h.bytes));
  }
  if (h.vocabulary == 0 || h.vocabulary > kVocabularyMax) return corrupt("size of the vocabulary");
  if (h.pre >= kPreTokenizerCount) return corrupt("unknown pre-tokenizer");

  struct Rule {
    const TableRange& range;
    std::uint32_t element_bytes;
    bool is_count_right;
    std::string_view name;
  };
  const std::uint32_t scores = (h.flags & kFlagSentencePiece) != 0 ? h.vocabulary : 0;
  const Rule rules[] = {
      {h.token_offsets, 4, h.token_offsets.count == h.vocabulary + 1, "token offsets"},
      {h.text, 1, true, "token text"},
      {h.types, 1, h.types.count == h.vocabulary, "token types"},
      {h.scores, 4, h.scores.count == scores, "token scores"},
      {h.byte_tokens, 4, h.byte_tokens.count == 256, "byte tokens"},
      {h.ends, 4, h.ends.count <= kEndsMax, "end tokens"},
      {h.by_text, 4, h.by_text.count > 0, "tokens by text"},
      {h.merges, sizeof(Merge), h.merges.count > 0, "merges"},
      {h.added, 4, h.added.count <= h.vocabulary, "added tokens"},
      {h.added_first, 4, h.added_first.count == 257, "first bytes of added tokens"},
      {h.added_kinds, 1, h.added_kinds.count == 256, "kinds of added tokens"},
      {h.pre_name, 1, true, "pre-tokenizer's name"},
  };
  for (const Rule& rule : rules) {
    const std::uint64_t bytes = std::uint64_t{rule.range.count} * rule.element_bytes;
    if (!rule.is_count_right || rule.range.offset + bytes > tables.size()) {
      return corrupt(cat("table of ", rule.name, ": ", rule.range.count, " entries at byte ",
                         rule.range.offset, " do not fit"));
    }
  }
  return TokenizerTables(tables, h);
}

std::string_view TokenizerTables::bytes_of(std::uint32_t token) const {
  if (token >= header_.vocabulary) return {};
  const auto begin = element<std::uint32_t>(header_.token_offsets, token);
  const auto end = element<std::uint32_t>(header_.token_offsets, token + 1);
  if (begin > end || end > header_.text.count) return {};
  return text_at({header_.text.offset + begin, end - begin});
}

std::uint8_t TokenizerTables::type_of(std::uint32_t token) const {
  return token < header_.vocabulary ? element<std::uint8_t>(header_.types, token) : 0;
}

float TokenizerTables::score_of(std::uint32_t token) const {
  return token < header_.scores.count ? element<float>(header_.scores, token) : 0;
}

bool TokenizerTables::is_end(std::uint32_t token) const {
  for (std::uint32_t i = 0; i < header_.ends.count; ++i) {
    if (element<std::uint32_t>(header_.ends, i) == token) return true;
  }
  return false;
}

std::uint32_t TokenizerTables::find(std::string_view bytes) const {
  if (bytes.empty() || bytes.size() > header_.token_bytes_max) return kNoToken;
  const std::uint32_t count = header_.by_text.count;
  std::uint32_t slot = first_slot(hash_bytes(bytes, header_.hash_seed), count);
  for (std::uint32_t probe = 0; probe < kProbesMax; ++probe, slot = next_slot(slot, count)) {
    const auto token = element<std::uint32_t>(header_.by_text, slot);
    if (token == kNoToken) return kNoToken;
    if (bytes_of(token) == bytes) return token;
  }
  return kNoToken;
}

std::optional<Merge> TokenizerTables::find_merge(std::uint32_t left, std::uint32_t right) const {
  const std::uint32_t count = header_.merges.count;
  std::uint32_t slot = first_slot(hash_pair(left, right, header_.hash_seed), count);
  for (std::uint32_t probe = 0; probe < kProbesMax; ++probe, slot = next_slot(slot, count)) {
    const auto merge = element<Merge>(header_.merges, slot);
    if (merge.left == kNoToken) return std::nullopt;
    if (merge.left == left && merge.right == right) return merge;
  }
  return std::nullopt;
}

std::uint32_t TokenizerTables::match_added(std::string_view text, bool special) const {
  if (text.empty() || !may_begin_added(text[0], special)) return kNoToken;
  const auto first = static_cast<std::uint8_t>(text[0]);
  std::uint32_t low = element<std::uint32_t>(header_.added_first, first);
  std::uint32_t high =
      std::min(element<std::uint32_t>(header_.added_first, first + 1u), header_.added.count);
  std::uint32_t best = kNoToken;
  const auto token_at = [&](std::uint32_t i) { return element<std::uint32_t>(header_.added, i); };
  // [low, high) are those that begin with the first `length` bytes of the text, ascending, so one
  // that has no more bytes is the first of them.
  for (std::size_t length = 1; low < high; ++length) {
    const std::uint32_t shortest = token_at(low);
    if (bytes_of(shortest).size() == length) {
      const bool is_user_defined =
          type_of(shortest) == static_cast<std::uint8_t>(TokenType::kUserDefined);
      if (special || is_user_defined) best = shortest;
      ++low;
    }
    if (length == text.size()) break;
    const auto next = static_cast<std::uint8_t>(text[length]);
    const auto bound = [&](std::uint32_t from, std::uint32_t to, std::uint32_t byte) {
      while (from < to) {
        const std::uint32_t middle = from + (to - from) / 2;
        const std::string_view bytes = bytes_of(token_at(middle));
        const bool is_less =
            bytes.size() <= length || static_cast<std::uint8_t>(bytes[length]) < byte;
        if (is_less) {
          from = middle + 1;
        } else {
          to = middle;
        }
      }
      return from;
    };
    low = bound(low, high, next);
    high = bound(low, high, next + 1u);
  }
  return best;
}

}  // namespace thaw::text
