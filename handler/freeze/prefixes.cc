#define XXH_INLINE_ALL
#include "handler/freeze/prefixes.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/prompt.h"
#include "snapshot/format.h"
#include "snapshot/name.h"

namespace thaw::freeze {
namespace {

using model::Digest;
using nlohmann::json;
using snapshot::SectionType;
using text::Token;

// What two users might say: texts and days that have nothing in common, not even a first character,
// so that the tokens which two renders share depend on neither. Fixed, so that a snapshot does not
// depend on the day it was frozen.
constexpr std::string_view kTexts[] = {"a", "7"};
constexpr std::int64_t kMoments[] = {0, 1'704'067'199};  // 1 January 1970, 31 December 2023

// XXH3-128 of sections, one after the other; absent ones count as empty.
Digest digest_of(const snapshot::Sections& sections, std::initializer_list<SectionType> types) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  for (const SectionType type : types) {
    const auto bytes = sections.section(type);
    if (bytes) XXH3_128bits_update(&state, bytes->data(), bytes->size());
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

model::Origin origin_of(const snapshot::Sections& sections) {
  return {
      digest_of(sections, {SectionType::kModel}),
      digest_of(sections, {SectionType::kTensors, SectionType::kWeights, SectionType::kEmbedding}),
      digest_of(sections, {SectionType::kTokenizer}),
      digest_of(sections, {SectionType::kTemplate})};
}

// An opening with one more text of the user's at its end.
Result<std::vector<Token>> tokens_with(const PrefixSource& source, std::string_view text,
                                       std::int64_t unix_seconds, const text::Tokenizer& tokenizer,
                                       const text::ChatTemplate* chat,
                                       const handler::Manifest& manifest) {
  handler::Prompt prompt;
  if (const auto* opening = std::get_if<std::string>(&source.opening)) {
    prompt = handler::prompt_for_task(cat(*opening, text), manifest);
  } else {
    auto messages = std::get<std::vector<text::Message>>(source.opening);
    if (messages.empty() || messages.back().role != "user") messages.push_back({"user", ""});
    messages.back().content += text;
    prompt = handler::with_system(std::move(messages), manifest);
  }
  return handler::encode_prompt(tokenizer, chat, prompt, {.unix_seconds = unix_seconds});
}

// The tokens that every prompt with this opening begins with.
Result<std::vector<Token>> common_tokens(const PrefixSource& source,
                                         const text::Tokenizer& tokenizer,
                                         const text::ChatTemplate* chat,
                                         const handler::Manifest& manifest) {
  if (const auto* tokens = std::get_if<std::vector<Token>>(&source.opening)) return *tokens;
  THAW_TRY(one, tokens_with(source, kTexts[0], kMoments[0], tokenizer, chat, manifest));
  THAW_TRY(two, tokens_with(source, kTexts[1], kMoments[1], tokenizer, chat, manifest));
  const auto [end, unused] = std::mismatch(one.begin(), one.end(), two.begin(), two.end());
  one.erase(end, one.end());
  return std::move(one);
}

// One prefix on its way into the file.
struct Entry {
  std::string name;
  std::vector<Token> tokens;
  const model::Prefix* stored = nullptr;  // its KV cache, where there is one to copy
};

// Writes the prefixes of one snapshot. One use, by write_prefixes().
class PrefixWriter {
 public:
  PrefixWriter(snapshot::Writer& writer, const PrefixContext& context,
               const FreezeProgress& progress, std::vector<std::string>& notes)
      : writer_(writer), context_(context), progress_(progress), notes_(notes) {}

  Result<std::vector<PrefixReport>> write(const PrefixPlan& plan) {
    origin_ = origin_of(context_.sections);
    model::Identity identity{};
    identity.version = model::kIdentityVersion;
    identity.origin = origin_;
    THAW_TRY_DO(writer_.add(SectionType::kIdentity, {}, std::as_bytes(std::span(&identity, 1))));
    if (!plan.system && plan.sources.empty() && plan.kept_from == nullptr) return reports_;
    THAW_TRY(made, model::Plan::make(context_.sections));
    plan_ = std::move(made);
    THAW_TRY_DO(collect(plan));
    for (const Entry& entry : entries_) THAW_TRY_DO(write_head(entry));
    for (const Entry& entry : entries_) THAW_TRY_DO(write_kv(entry));
    return std::move(reports_);
  }

 private:
  Result<Done> collect(const PrefixPlan& plan);
  Result<Done> add(const PrefixSource& source);
  Result<Done> write_head(const Entry& entry);
  Result<Done> write_kv(const Entry& entry);
  Result<Done> compute(const Entry& entry, model::Session& session);
  Result<Done> open_engine();

  snapshot::Writer& writer_;
  const PrefixContext& context_;
  const FreezeProgress& progress_;
  std::vector<std::string>& notes_;
  model::Origin origin_;
  model::Plan plan_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> chat_;
  model::Prefixes stored_;  // of the snapshot that was given
  std::vector<Entry> entries_;
  std::unique_ptr<model::Engine> engine_;  // from the first that must be computed
  std::vector<PrefixReport> reports_;
};

// Decides which prefixes there will be, and finds the tokens of each.
Result<Done> PrefixWriter::collect(const PrefixPlan& plan) {
  THAW_TRY(tables, context_.sections.section(SectionType::kTokenizer));
  THAW_TRY(tokenizer, text::Tokenizer::open(tables));
  tokenizer_.emplace(std::move(tokenizer));
  if (const auto compiled = context_.sections.section(SectionType::kTemplate)) {
    THAW_TRY(chat, text::ChatTemplate::open(*compiled));
    chat_.emplace(std::move(chat));
  }
  if (plan.kept_from != nullptr) {
    THAW_TRY(stored, model::Prefixes::open(*plan.kept_from, plan_));
    stored_ = std::move(stored);
    notes_.insert(notes_.end(), stored_.warnings().begin(), stored_.warnings().end());
  }
  if (plan.system) {
    const std::string name(model::kSystemPrefix);
    THAW_TRY_DO(add({name, {}, std::vector<text::Message>{}}));
  }
  for (const model::Prefix& prefix : stored_.all()) {
    const auto replaced = [&](const PrefixSource& source) { return source.name == prefix.name; };
    if (prefix.name == model::kSystemPrefix) continue;
    if (std::any_of(plan.sources.begin(), plan.sources.end(), replaced)) continue;
    entries_.push_back(
        {std::string(prefix.name), {prefix.tokens.begin(), prefix.tokens.end()}, &prefix});
  }
  for (const PrefixSource& source : plan.sources) THAW_TRY_DO(add(source));
  if (entries_.size() > model::kPrefixesMax) {
    return fail(Code::kLimit, cat("freeze: ", entries_.size(), " prefixes, the limit is ",
                                  model::kPrefixesMax, "; give fewer"));
  }
  return Done{};
}

Result<Done> PrefixWriter::add(const PrefixSource& source) {
  const std::string where = cat("freeze prefix ", snapshot::quote(source.name), ": ");
  for (const Entry& other : entries_) {
    if (other.name == source.name) {
      return fail(Code::kInvalid, cat(where, "two have this name; rename one's file"));
    }
  }
  auto tokens = common_tokens(source, *tokenizer_, chat_ ? &*chat_ : nullptr, context_.manifest);
  if (!tokens) return fail(tokens.error().code, cat(where, tokens.error().message));
  const std::uint32_t context = plan_.config.context_tokens;
  if (tokens->empty() && source.name == model::kSystemPrefix) {
    notes_.push_back(
        "no prefix for the system message: the chat template's prompts have nothing in "
        "common, before a date or the user's text");
    return Done{};
  }
  if (tokens->empty()) {
    return fail(Code::kInvalid, cat(where, "it has no token; give a longer text"));
  }
  if (tokens->size() >= context || tokens->size() > model::kPrefixTokensMax) {
    return fail(Code::kLimit, cat(where, tokens->size(), " tokens, the context holds ", context,
                                  " with question and answer; shorten it"));
  }
  Entry entry{source.name, *std::move(tokens), stored_.find(source.name)};
  if (entry.stored != nullptr &&
      !std::equal(entry.tokens.begin(), entry.tokens.end(), entry.stored->tokens.begin(),
                  entry.stored->tokens.end())) {
    entry.stored = nullptr;
  }
  entries_.push_back(std::move(entry));
  return Done{};
}

Result<Done> PrefixWriter::write_head(const Entry& entry) {
  const auto head =
      model::make_prefix_head(plan_, origin_, static_cast<std::uint32_t>(entry.tokens.size()));
  THAW_TRY_DO(writer_.begin(SectionType::kPrefix, entry.name));
  THAW_TRY_DO(writer_.append(std::as_bytes(std::span(&head, 1))));
  THAW_TRY_DO(writer_.append(std::as_bytes(std::span(entry.tokens))));
  return writer_.end();
}

Result<Done> PrefixWriter::write_kv(const Entry& entry) {
  const std::size_t block_bytes = plan_.kv_block_bytes();
  const std::size_t positions = kernels::kKvBlockPositions;
  const std::size_t blocks = (entry.tokens.size() + positions - 1) / positions;
  std::unique_ptr<model::Session> session;
  if (entry.stored == nullptr) {
    THAW_TRY_DO(open_engine());
    session = engine_->new_session();
    THAW_TRY_DO(compute(entry, *session));
  }
  THAW_TRY_DO(writer_.begin(SectionType::kPrefixKv, entry.name));
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::byte* block = session ? session->table(0)[b] : entry.stored->kv.block(b);
    THAW_TRY_DO(writer_.append({block, block_bytes}));
    THAW_TRY_DO(writer_.align(model::kPrefixBlockAlign));
  }
  THAW_TRY_DO(writer_.end());
  const std::uint64_t bytes = blocks * round_up(block_bytes, model::kPrefixBlockAlign);
  reports_.push_back(
      {entry.name, static_cast<std::uint32_t>(entry.tokens.size()), bytes, session != nullptr});
  return Done{};
}

Result<Done> PrefixWriter::open_engine() {
  if (engine_ != nullptr) return Done{};
  THAW_TRY(set, kernels::select(context_.kernels));
  engine_ = std::make_unique<model::Engine>(plan_, *set, context_.pool, model::EngineOptions{});
  return Done{};
}

// The last token's logits are computed too: they tell a model that gives no numbers.
Result<Done> PrefixWriter::compute(const Entry& entry, model::Session& session) {
  const std::span<const Token> tokens = entry.tokens;
  const std::size_t chunk = engine_->chunk_tokens();
  const model::LogitsSink finite = [&](std::size_t, std::size_t,
                                       std::span<const float> logits) -> Result<Done> {
    if (std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
      return Done{};
    }
    return fail(Code::kCorrupt, cat("freeze prefix ", snapshot::quote(entry.name),
                                    ": a logit is not finite; the model's weights are damaged"));
  };
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    if (progress_) progress_({entry.name, at, tokens.size()});
    const std::size_t count = std::min(chunk, tokens.size() - at);
    const bool last = at + count == tokens.size();
    const model::BatchItem item{&session, tokens.subspan(at, count),
                                last ? model::LogitsWanted::kLast : model::LogitsWanted::kNone};
    THAW_TRY_DO(engine_->forward(std::span(&item, 1), finite));
  }
  return Done{};
}

Error bad_file(std::string_view path, std::string_view found) {
  return fail(Code::kInvalid,
              cat("read prefix '", path, "': ", found,
                  "; wanted text, or in a .json file {\"messages\": [{\"role\", \"content\"}]} or "
                  "an array of token ids"));
}

Result<std::vector<text::Message>> read_messages(std::string_view path, const json& list) {
  std::vector<text::Message> messages;
  for (const json& item : list) {
    const auto text_of = [&](const char* key) {
      return item.is_object() && item.contains(key) && item[key].is_string();
    };
    if (!text_of("role") || !text_of("content")) return bad_file(path, "a message of another form");
    messages.push_back({item["role"].get<std::string>(), item["content"].get<std::string>()});
  }
  return messages;
}

Result<std::vector<Token>> read_tokens(std::string_view path, const json& list) {
  std::vector<Token> tokens;
  for (const json& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX) {
      return bad_file(path, "an array of something else than token ids");
    }
    tokens.push_back(id.get<Token>());
  }
  return tokens;
}

}  // namespace

Result<PrefixSource> parse_prefix(std::string_view path, std::string contents) {
  PrefixSource source;
  source.file = path.substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1);
  source.name = source.file.substr(0, source.file.rfind('.'));
  if (source.name.empty() || source.name.size() > snapshot::kSectionNameMax ||
      !snapshot::is_plain_text(source.file) || source.name == model::kSystemPrefix) {
    return fail(Code::kInvalid,
                cat("read prefix ", snapshot::quote(path), ": its name is to be 1 to ",
                    snapshot::kSectionNameMax,
                    " bytes of UTF-8 without control characters, and not 'system'; rename it"));
  }
  if (!source.file.ends_with(".json")) {
    source.opening = std::move(contents);
    return source;
  }
  const json document = json::parse(contents, nullptr, /*allow_exceptions=*/false);
  if (document.is_array()) {
    THAW_TRY(tokens, read_tokens(path, document));
    source.opening = std::move(tokens);
  } else if (document.is_object() && document.contains("messages") &&
             document["messages"].is_array()) {
    THAW_TRY(messages, read_messages(path, document["messages"]));
    source.opening = std::move(messages);
  } else {
    return bad_file(path, document.is_discarded() ? "no JSON" : "JSON of another form");
  }
  return source;
}

Result<std::vector<PrefixReport>> write_prefixes(snapshot::Writer& writer, const PrefixPlan& plan,
                                                 const PrefixContext& context,
                                                 const FreezeProgress& progress,
                                                 std::vector<std::string>& notes) {
  return PrefixWriter(writer, context, progress, notes).write(plan);
}

}  // namespace thaw::freeze
