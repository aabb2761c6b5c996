#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "base/str.h"
#include "handler/text/tokenizer.h"
#include "handler/text/tokenizer_tables.h"
#include "handler/text/unicode.h"

namespace thaw::text {
namespace {

using Model = TokenizerSource::Model;

Error corrupt(std::string_view what) {
  return fail(Code::kCorrupt, cat("build tokenizer: ", what));
}

// Byte-level vocabularies spell every byte as a printable character: printable Latin-1 as itself,
// the others, in order, from U+0100 on. This is the way back; 0xFFFF where there is none.
constexpr std::array<std::uint16_t, 0x144> kByteOfCharacter = [] {
  std::array<std::uint16_t, 0x144> bytes{};
  bytes.fill(0xFFFF);
  std::size_t next = 0x100;
  for (std::uint16_t byte = 0; byte < 256; ++byte) {
    const bool is_itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    bytes[is_itself ? byte : next++] = byte;
  }
  return bytes;
}();

// A spelling with a character outside the alphabet stands for itself, as a whole.
std::string bytes_of_byte_level(std::string_view spelling) {
  std::string bytes;
  for (std::string_view rest = spelling; !rest.empty();) {
    const Utf8 next = decode_utf8(rest);
    const bool is_known = next.status == Utf8::Status::kValid &&
                          next.code_point < kByteOfCharacter.size() &&
                          kByteOfCharacter[next.code_point] != 0xFFFF;
    if (!is_known) return std::string(spelling);
    bytes.push_back(static_cast<char>(kByteOfCharacter[next.code_point]));
    rest.remove_prefix(next.bytes);
  }
  return bytes;
}

// SentencePiece writes U+2581 for a space.
std::string with_spaces(std::string_view spelling) {
  constexpr std::string_view kBlock = "\xE2\x96\x81";
  std::string bytes;
  while (!spelling.empty()) {
    const bool is_block = spelling.starts_with(kBlock);
    bytes.push_back(is_block ? ' ' : spelling[0]);
    spelling.remove_prefix(is_block ? kBlock.size() : 1);
  }
  return bytes;
}

// The byte that "<0x0A>" names.
std::optional<std::uint8_t> named_byte(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') {
    return std::nullopt;
  }
  std::uint8_t byte = 0;
  const auto parsed = std::from_chars(spelling.data() + 3, spelling.data() + 5, byte, 16);
  if (parsed.ec != std::errc() || parsed.ptr != spelling.data() + 5) return std::nullopt;
  return byte;
}

// One build; its members are the tables in the making.
class Builder {
 public:
  explicit Builder(const TokenizerSource& source) : source_(source) {}

  Result<std::vector<std::byte>> build() {
    THAW_TRY_DO(check_source());
    THAW_TRY_DO(spell());
    if (source_.model == Model::kByteBpe) THAW_TRY_DO(resolve_merges());
    THAW_TRY_DO(hash());
    return write();
  }

 private:
  std::size_t vocabulary() const { return source_.tokens.size(); }
  TokenType type_of(Token token) const { return source_.types[token]; }

  bool is_added(Token token) const {
    const TokenType type = type_of(token);
    return (type == TokenType::kControl || type == TokenType::kUserDefined ||
            type == TokenType::kUnknown) &&
           !bytes_[token].empty();
  }
  // Special and added tokens never arise by merging: what users write cannot become one.
  bool is_found_by_text(Token token) const {
    const TokenType type = type_of(token);
    const bool may_merge = type == TokenType::kNormal ||
                           (type == TokenType::kUnused && source_.model == Model::kSentencePiece);
    return may_merge && !bytes_[token].empty();
  }

  Result<Done> check_source() {
    const std::size_t count = vocabulary();
    if (count == 0 || count > kVocabularyMax) {
      return corrupt(cat(count, " tokens, wanted 1 to ", kVocabularyMax));
    }
    if (source_.types.size() != count) {
      return corrupt(cat(source_.types.size(), " token types for ", count, " tokens"));
    }
    if (source_.merges.size() > kVocabularyMax) {
      return corrupt(cat(source_.merges.size(), " merges, at most ", kVocabularyMax));
    }
    if (source_.model == Model::kSentencePiece) {
      if (source_.scores.size() != count) {
        return corrupt(cat(source_.scores.size(), " scores for ", count, " tokens"));
      }
      if (!std::all_of(source_.scores.begin(), source_.scores.end(),
                       [](float score) { return std::isfinite(score); })) {
        return corrupt("a score is not a finite number");
      }
    } else {
      const auto pre = pre_tokenizer_named(source_.pre);
      if (!pre) {
        return fail(Code::kUnsupported, cat("build tokenizer: pre-tokenizer '", source_.pre,
                                            "' is not known; known are ", pre_tokenizer_names()));
      }
      pre_ = *pre;
    }
    return check_ids();
  }

  Result<Done> check_ids() {
    const auto check = [&](std::optional<Token> token, std::string_view name) -> Result<Done> {
      if (!token || *token < vocabulary()) return Done{};
      return corrupt(cat(name, " token ", *token, ", the vocabulary has ", vocabulary()));
    };
    THAW_TRY_DO(check(source_.bos, "bos"));
    THAW_TRY_DO(check(source_.eos, "eos"));
    THAW_TRY_DO(check(source_.unknown, "unknown"));
    THAW_TRY_DO(check(source_.padding, "padding"));
    ends_ = source_.ends;
    if (source_.eos) ends_.push_back(*source_.eos);
    std::sort(ends_.begin(), ends_.end());
    ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
    if (ends_.size() > kEndsMax)
      return corrupt(cat(ends_.size(), " end tokens, at most ", kEndsMax));
    if (!ends_.empty()) THAW_TRY_DO(check(ends_.back(), "end"));
    return Done{};
  }

  // What each token stands for, and the tables that follow from it.
  Result<Done> spell() {
    byte_tokens_.fill(kNoToken);
    std::uint64_t text_bytes = 0;
    for (Token token = 0; token < vocabulary(); ++token) {
      const std::string& spelling = source_.tokens[token];
      if (spelling.size() > kTokenBytesMax) {
        return corrupt(
            cat("token ", token, ": ", spelling.size(), " bytes, at most ", kTokenBytesMax));
      }
      if (!spelling.empty()) {
        const auto [known, is_new] = by_spelling_.try_emplace(spelling, token);
        if (!is_new) return corrupt(cat("tokens ", known->second, " and ", token, " are the same"));
      }
      THAW_TRY_DO(spell_one(token));
      text_bytes += bytes_.back().size();
    }
    if (source_.model == Model::kByteBpe) spell_missing_bytes();
    if (text_bytes > UINT32_MAX / 4) return corrupt(cat(text_bytes, " bytes of token text"));
    std::sort(added_.begin(), added_.end(),
              [&](Token a, Token b) { return bytes_[a] < bytes_[b]; });
    return Done{};
  }

  Result<Done> spell_one(Token token) {
    const std::string& spelling = source_.tokens[token];
    const TokenType type = type_of(token);
    if (type < TokenType::kNormal || type > TokenType::kByte) {
      return corrupt(
          cat("token ", token, ": type ", static_cast<unsigned>(type), ", wanted 1 to 6"));
    }
    if (type == TokenType::kByte) {
      const auto byte = named_byte(spelling);
      if (!byte) return corrupt(cat("token ", token, ": a byte, but not spelled as <0x00>"));
      bytes_.emplace_back(1, static_cast<char>(*byte));
      byte_tokens_[*byte] = token;
      return Done{};
    }
    const bool is_verbatim = type == TokenType::kControl || type == TokenType::kUnknown ||
                             (type == TokenType::kUserDefined && source_.model == Model::kByteBpe);
    if (is_verbatim) {
      bytes_.push_back(spelling);
    } else if (source_.model == Model::kSentencePiece) {
      bytes_.push_back(with_spaces(spelling));
    } else {
      bytes_.push_back(bytes_of_byte_level(spelling));
      if (type == TokenType::kNormal && bytes_.back().size() == 1) {
        Token& of_byte = byte_tokens_[static_cast<std::uint8_t>(bytes_.back()[0])];
        if (of_byte == kNoToken) of_byte = token;
      }
    }
    if (is_added(token)) added_.push_back(token);
    return Done{};
  }

  // Some vocabularies have bytes that never occur in UTF-8 only among their added tokens, where
  // their characters of the alphabet stand for themselves.
  void spell_missing_bytes() {
    for (std::uint32_t character = 0; character < kByteOfCharacter.size(); ++character) {
      if (kByteOfCharacter[character] == 0xFFFF) continue;
      Token& token = byte_tokens_[kByteOfCharacter[character]];
      if (token != kNoToken) continue;
      std::string spelling;
      append_utf8(spelling, character);
      const auto found = by_spelling_.find(spelling);
      if (found != by_spelling_.end() && type_of(found->second) == TokenType::kUserDefined) {
        token = found->second;
      }
    }
  }

  Result<Done> resolve_merges() {
    const auto id_of = [&](std::string_view spelling) {
      const auto found = by_spelling_.find(spelling);
      return found == by_spelling_.end() ? kNoToken : found->second;
    };
    std::string joined;
    for (std::uint32_t rank = 0; rank < source_.merges.size(); ++rank) {
      const std::string_view merge = source_.merges[rank];
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == merge.size()) {
        return corrupt(cat("merge ", rank, ": not two tokens with a space between them"));
      }
      joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
      const Merge resolved = {id_of(merge.substr(0, space)), id_of(merge.substr(space + 1)), rank,
                              id_of(joined)};
      if (resolved.left == kNoToken || resolved.right == kNoToken || resolved.merged == kNoToken) {
        return corrupt(cat("merge ", rank, ": a part of it, or what it gives, is not a token"));
      }
      // A special token never arises by merging.
      const TokenType type = type_of(resolved.merged);
      if (type == TokenType::kControl || type == TokenType::kUnknown) continue;
      merges_.push_back(resolved);
    }
    return Done{};
  }

  // Chooses table sizes and a seed with which every lookup ends within kProbesMax.
  Result<Done> hash() {
    std::size_t by_text_count = 0;
    for (Token token = 0; token < vocabulary(); ++token) by_text_count += is_found_by_text(token);
    for (std::uint32_t attempt = 0; attempt < 8; ++attempt) {
      seed_ = attempt;
      const std::size_t room = attempt < 4 ? 1 : 4;
      // Ten slots for seven entries: small, and most searches end within a cache line or two.
      by_text_.assign(room * by_text_count * 10 / 7 + 1, kNoToken);
      merge_slots_.assign(room * merges_.size() * 10 / 7 + 1,
                          Merge{kNoToken, kNoToken, 0, kNoToken});
      if (fill_by_text() && fill_merges()) return Done{};
    }
    return corrupt("the tokens collide in the hash tables, whatever the seed");
  }

  // The slot of `slots` that is free or holds the same key; nothing if it is too far.
  template <class Slot, class IsOther>
  static Slot* find_slot(std::vector<Slot>& slots, std::uint64_t hash, IsOther is_other) {
    const auto count = static_cast<std::uint32_t>(slots.size());
    std::uint32_t slot = first_slot(hash, count);
    for (std::uint32_t probe = 0; probe < kProbesMax; ++probe, slot = next_slot(slot, count)) {
      if (!is_other(slots[slot])) return &slots[slot];
    }
    return nullptr;
  }

  bool fill_by_text() {
    for (Token token = 0; token < vocabulary(); ++token) {
      if (!is_found_by_text(token)) continue;
      Token* slot = find_slot(by_text_, hash_bytes(bytes_[token], seed_), [&](Token in) {
        return in != kNoToken && bytes_[in] != bytes_[token];
      });
      if (slot == nullptr) return false;
      // Two spellings may stand for the same bytes; the first then is the one that is found.
      if (*slot == kNoToken) *slot = token;
    }
    return true;
  }

  bool fill_merges() {
    for (const Merge& merge : merges_) {
      const std::uint64_t hash = hash_pair(merge.left, merge.right, seed_);
      Merge* slot = find_slot(merge_slots_, hash, [&](const Merge& in) {
        return in.left != kNoToken && (in.left != merge.left || in.right != merge.right);
      });
      if (slot == nullptr) return false;
      if (slot->left == kNoToken) *slot = merge;
    }
    return true;
  }

  bool spaces_lead() const {
    for (Token token = 0; token < vocabulary(); ++token) {
      const std::string& bytes = bytes_[token];
      const std::size_t first = std::min(bytes.find_first_not_of(' '), bytes.size());
      if (is_found_by_text(token) && bytes.find(' ', first) != std::string::npos) return false;
    }
    return true;
  }

  std::uint32_t flags() const {
    std::uint32_t flags = 0;
    if (source_.add_bos) flags |= kFlagAddBos;
    if (source_.add_eos) flags |= kFlagAddEos;
    if (source_.add_space_prefix) flags |= kFlagAddSpacePrefix;
    if (source_.ignore_merges) flags |= kFlagIgnoreMerges;
    if (source_.nfc) flags |= kFlagNfc;
    if (source_.model == Model::kSentencePiece) flags |= kFlagSentencePiece;
    if (spaces_lead()) flags |= kFlagSpacesLead;
    return flags;
  }

  template <class T>
  TableRange put(std::span<const T> values) {
    out_.resize(round_up(out_.size(), alignof(T)));
    const TableRange range = {static_cast<std::uint32_t>(out_.size()),
                              static_cast<std::uint32_t>(values.size())};
    const auto bytes = std::as_bytes(values);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return range;
  }

  void put_added(TablesHeader& header) {
    std::array<std::uint32_t, 257> first{};
    std::array<std::uint8_t, 256> kinds{};
    for (const Token token : added_) {
      const auto byte = static_cast<std::uint8_t>(bytes_[token][0]);
      ++first[byte + 1u];
      const bool is_user_defined = type_of(token) == TokenType::kUserDefined;
      kinds[byte] |= is_user_defined ? kAddedUserDefined : kAddedSpecial;
    }
    for (std::size_t byte = 0; byte < 256; ++byte) first[byte + 1] += first[byte];
    header.added = put(std::span<const Token>(added_));
    header.added_first = put(std::span<const std::uint32_t>(first));
    header.added_kinds = put(std::span<const std::uint8_t>(kinds));
  }

  Result<std::vector<std::byte>> write() {
    std::vector<std::uint32_t> offsets = {0};
    std::string text;
    std::size_t token_bytes_max = 0;
    for (Token token = 0; token < vocabulary(); ++token) {
      text += bytes_[token];
      offsets.push_back(static_cast<std::uint32_t>(text.size()));
      if (is_found_by_text(token))
        token_bytes_max = std::max(token_bytes_max, bytes_[token].size());
    }
    TablesHeader header{};
    header.magic = kTablesMagic;
    header.version = kTablesVersion;
    header.flags = flags();
    header.pre = static_cast<std::uint32_t>(pre_);
    header.vocabulary = static_cast<std::uint32_t>(vocabulary());
    header.bos = source_.bos.value_or(kNoToken);
    header.eos = source_.eos.value_or(kNoToken);
    header.unknown = source_.unknown.value_or(kNoToken);
    header.padding = source_.padding.value_or(kNoToken);
    header.hash_seed = seed_;
    header.token_bytes_max = static_cast<std::uint32_t>(token_bytes_max);
    out_.resize(sizeof header);
    header.merges = put(std::span<const Merge>(merge_slots_));
    header.by_text = put(std::span<const Token>(by_text_));
    header.token_offsets = put(std::span<const std::uint32_t>(offsets));
    header.text = put(std::span<const char>(text));
    const bool has_scores = source_.model == Model::kSentencePiece;
    header.scores =
        put(std::span<const float>(source_.scores).first(has_scores ? vocabulary() : 0));
    header.types = put(std::span<const TokenType>(source_.types));
    header.byte_tokens = put(std::span<const Token>(byte_tokens_));
    header.ends = put(std::span<const Token>(ends_));
    put_added(header);
    header.pre_name = put(std::span<const char>(source_.pre));
    if (out_.size() > UINT32_MAX) return corrupt(cat(out_.size(), " bytes of tables"));
    header.bytes = static_cast<std::uint32_t>(out_.size());
    store(out_.data(), header);
    return std::move(out_);
  }

  const TokenizerSource& source_;
  PreTokenizer pre_ = PreTokenizer::kNone;
  std::uint32_t seed_ = 0;
  std::vector<std::string> bytes_;  // [vocabulary]
  std::unordered_map<std::string_view, Token> by_spelling_;
  std::array<Token, 256> byte_tokens_{};
  std::vector<Token> ends_;
  std::vector<Token> added_;
  std::vector<Merge> merges_;
  std::vector<Merge> merge_slots_;
  std::vector<Token> by_text_;
  std::vector<std::byte> out_;
};

}  // namespace

Result<std::vector<std::byte>> build_tokenizer(const TokenizerSource& source) {
  return Builder(source).build();
}

}  // namespace thaw::text
