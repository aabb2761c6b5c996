#include "handler/model/prefix.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/check.h"
#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::model {
namespace {

using snapshot::quote;
using snapshot::Section;
using snapshot::SectionType;

// The file's bytes are read as these types: nothing lies between their fields.
static_assert(sizeof(Origin) == 4 * sizeof(Digest));

std::size_t blocks_of(std::uint32_t tokens) {
  return (std::size_t{tokens} + kernels::kKvBlockPositions - 1) / kernels::kKvBlockPositions;
}

// Why a prefix does not fit this snapshot; empty where it does.
std::string misfit(const PrefixHead& head, const Origin& origin) {
  if (head.version != kPrefixVersion) {
    return cat("prefix section version ", head.version, ", this build reads ", kPrefixVersion);
  }
  if (head.kv_form != static_cast<std::uint32_t>(KvForm::kF16Panels)) {
    return cat("its KV cache has form ", head.kv_form, ", this build reads ",
               static_cast<std::uint32_t>(KvForm::kF16Panels));
  }
  if (head.arithmetic_version != kernels::kArithmeticVersion) {
    return cat("computed with arithmetic version ", head.arithmetic_version, ", this build has ",
               kernels::kArithmeticVersion);
  }
  const auto other = [](std::string_view what) { return cat("made for another ", what); };
  if (head.origin.model != origin.model) return other("model configuration");
  if (head.origin.weights != origin.weights) return "made for other weights";
  if (head.origin.tokenizer != origin.tokenizer) return other("tokenizer");
  if (head.origin.chat_template != origin.chat_template) return other("chat template");
  return {};
}

// Reads the prefixes of one snapshot. One use, by open().
class PrefixReader {
 public:
  PrefixReader(const snapshot::Sections& sections, const Plan& plan)
      : sections_(sections), plan_(plan) {}

  // The prefix, or nothing where it does not fit; the warning then says why.
  Result<std::optional<Prefix>> read(const Section& section, const Origin& origin,
                                     std::string& warning) const {
    const auto head = load_at<PrefixHead>(section.bytes, 0);
    if (!head) {
      return corrupt(section, cat("a section of ", section.bytes.size(), " bytes, its head has ",
                                  sizeof(PrefixHead)));
    }
    if (const std::string why = misfit(*head, origin); !why.empty()) {
      warning = cat("prefix ", quote(section.name), ": ", why,
                    "; it is not used: freeze it anew with 'thaw freeze F.thaw'");
      return std::optional<Prefix>();
    }
    THAW_TRY_DO(check(section, *head));
    THAW_TRY(kv, kv_of(section, *head));
    // Sections lie at multiples of 4096, and the head has 128 bytes: the tokens are aligned.
    const auto* tokens = reinterpret_cast<const Token*>(section.bytes.data() + sizeof(PrefixHead));
    return std::optional<Prefix>(Prefix{section.name, {tokens, head->tokens}, kv});
  }

 private:
  static Error corrupt(const Section& section, std::string_view found) {
    return fail(Code::kCorrupt, cat("read prefix ", quote(section.name), ": ", found,
                                    "; the snapshot is damaged: copy it again or freeze it anew"));
  }

  Result<Done> check(const Section& section, const PrefixHead& head) const {
    const Config& c = plan_.config;
    if (std::any_of(std::begin(head.reserved), std::end(head.reserved),
                    [](std::uint64_t word) { return word != 0; })) {
      return corrupt(section, "reserved bytes are set");
    }
    const std::uint32_t most = std::min(c.context_tokens, kPrefixTokensMax);
    if (head.tokens == 0 || head.tokens > most) {
      return corrupt(section, cat(head.tokens, " tokens, from 1 to ", most, " can be"));
    }
    if (section.bytes.size() != sizeof(PrefixHead) + std::size_t{head.tokens} * sizeof(Token)) {
      return corrupt(section, cat("a section of ", section.bytes.size(), " bytes for ", head.tokens,
                                  " tokens"));
    }
    if (head.layers != c.layers || head.kv_heads != c.kv_heads || head.key_dim != c.head_dim ||
        head.value_dim != c.value_dim) {
      return corrupt(section,
                     cat("a KV cache of ", head.layers, " layers and ", head.kv_heads, " heads of ",
                         head.key_dim, " and ", head.value_dim, ", the model has ", c.layers, ", ",
                         c.kv_heads, ", ", c.head_dim, " and ", c.value_dim));
    }
    const std::uint64_t stride = round_up(plan_.kv_block_bytes(), kPrefixBlockAlign);
    if (head.block_stride != stride) {
      return corrupt(section,
                     cat("blocks of ", head.block_stride, " bytes, the model's have ", stride));
    }
    return Done{};
  }

  Result<KvView> kv_of(const Section& section, const PrefixHead& head) const {
    const auto all = sections_.sections();
    const auto kv = std::find_if(all.begin(), all.end(), [&](const Section& other) {
      return other.type == SectionType::kPrefixKv && other.name == section.name;
    });
    if (kv == all.end()) return corrupt(section, "its KV cache is missing");
    // The product cannot wrap: at most 2^14 blocks of what the config's bounds allow.
    const auto want = checked_mul(blocks_of(head.tokens), head.block_stride);
    if (!want || kv->bytes.size() != *want) {
      return corrupt(section, cat("a KV cache of ", kv->bytes.size(), " bytes, ", head.tokens,
                                  " tokens have ", want.value_or(0)));
    }
    THAW_CHECK(reinterpret_cast<std::uintptr_t>(kv->bytes.data()) % 64 == 0);
    return KvView{kv->bytes.data(), head.block_stride, head.tokens};
  }

  const snapshot::Sections& sections_;
  const Plan& plan_;
};

}  // namespace

PrefixHead make_prefix_head(const Plan& plan, const Origin& origin, std::uint32_t tokens) {
  PrefixHead head{};
  head.version = kPrefixVersion;
  head.arithmetic_version = kernels::kArithmeticVersion;
  head.kv_form = static_cast<std::uint32_t>(KvForm::kF16Panels);
  head.tokens = tokens;
  head.layers = plan.config.layers;
  head.kv_heads = plan.config.kv_heads;
  head.key_dim = plan.config.head_dim;
  head.value_dim = plan.config.value_dim;
  head.block_stride = round_up(plan.kv_block_bytes(), kPrefixBlockAlign);
  head.origin = origin;
  return head;
}

Result<Origin> read_origin(const snapshot::Sections& sections) {
  THAW_TRY(bytes, sections.section(SectionType::kIdentity));
  const auto identity = load_at<Identity>(bytes, 0);
  if (!identity || bytes.size() != sizeof(Identity)) {
    return fail(Code::kCorrupt, cat("read identity: ", bytes.size(), " bytes, it has ",
                                    sizeof(Identity), "; freeze the snapshot anew"));
  }
  if (identity->version != kIdentityVersion) {
    return fail(Code::kUnsupported,
                cat("read identity: version ", identity->version, ", this build reads ",
                    kIdentityVersion, "; freeze the snapshot anew"));
  }
  return identity->origin;
}

Result<Prefixes> Prefixes::open(const snapshot::Sections& sections, const Plan& plan) {
  Prefixes out;
  const auto all = sections.sections();
  const auto is_prefix = [](const Section& s) { return s.type == SectionType::kPrefix; };
  const auto count = std::count_if(all.begin(), all.end(), is_prefix);
  if (count == 0) return out;
  if (count > static_cast<std::ptrdiff_t>(kPrefixesMax)) {
    return fail(Code::kLimit, cat("read prefixes: ", count, ", the limit is ", kPrefixesMax,
                                  "; freeze the snapshot anew with fewer"));
  }
  const Result<Origin> origin = read_origin(sections);
  if (!origin && origin.error().code == Code::kCorrupt) return origin.error();
  const PrefixReader reader(sections, plan);
  for (const Section& section : all) {
    if (!is_prefix(section)) continue;
    if (!origin) {  // of an older build, or a later one
      out.warnings_.push_back(
          cat("prefix ", quote(section.name), " is not used: ", origin.error().message));
      continue;
    }
    std::string warning;
    THAW_TRY(prefix, reader.read(section, *origin, warning));
    if (prefix) out.prefixes_.push_back(*prefix);
    if (!warning.empty()) out.warnings_.push_back(std::move(warning));
  }
  return out;
}

const Prefix* Prefixes::find(std::string_view name) const {
  const auto found = std::find_if(prefixes_.begin(), prefixes_.end(),
                                  [&](const Prefix& prefix) { return prefix.name == name; });
  return found == prefixes_.end() ? nullptr : &*found;
}

Prefixes::Match Prefixes::longest(std::span<const Token> tokens) const {
  Match best;
  for (const Prefix& prefix : prefixes_) {
    const std::size_t most = std::min(tokens.size(), prefix.tokens.size());
    const auto differ = std::mismatch(
        tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(most), prefix.tokens.begin());
    const auto common = static_cast<std::uint32_t>(differ.first - tokens.begin());
    if (common > best.tokens) best = {&prefix, common};
  }
  return best;
}

}  // namespace thaw::model
