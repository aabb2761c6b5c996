#include "handler/freeze/hf_tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::freeze {
namespace {

using nlohmann::json;
using text::Token;
using text::TokenizerSource;
using text::TokenType;

constexpr std::size_t kTokensMax = 1 << 22;

Error corrupt(std::string what) { return fail(Code::kCorrupt, cat("read tokenizer.json: ", what)); }
Error unsupported(std::string what) {
  return fail(Code::kUnsupported, cat("read tokenizer.json: ", what));
}

// Deeper values are dropped: nothing that this reads lies that deep, and walking them takes stack.
constexpr int kDepthMax = 32;

json parse(const std::string& text) {
  if (text.empty()) return json::object();
  // The parser takes a zero byte for the end of its input and would not see what follows.
  if (text.find('\0') != std::string::npos) return json(json::value_t::discarded);
  const auto shallow = [](int depth, json::parse_event_t, json&) { return depth <= kDepthMax; };
  return json::parse(text, shallow, /*allow_exceptions=*/false);
}

std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool bool_at(const json& object, const char* key, bool otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

// What a pre-tokenizer does, as one line: its steps in order, joined by '|||'.
std::string signature(const json& step) {
  if (!step.is_object()) return "";
  const std::string type = string_at(step, "type");
  if (type == "Sequence") {
    std::string all;
    const auto inner = step.find("pretokenizers");
    if (inner == step.end() || !inner->is_array()) return "?";
    for (const json& part : *inner) all += (all.empty() ? "" : "|||") + signature(part);
    return all;
  }
  if (type == "Split") {
    const auto pattern = step.find("pattern");
    const std::string regex =
        pattern != step.end() && pattern->is_object() ? string_at(*pattern, "Regex") : "";
    return cat("split:", string_at(step, "behavior"), ":", regex);
  }
  if (type == "ByteLevel") return bool_at(step, "use_regex", true) ? "bytes+gpt2" : "bytes";
  if (type == "Digits") return bool_at(step, "individual_digits", false) ? "digit" : "digits";
  return cat("?", type);
}

constexpr std::string_view kCjk = "[一-龥ࠀ-一가-퟿]+";

// The pre-tokenizer's name in GGUF's words; empty where this build knows none like it.
std::string_view pre_named(const std::string& steps) {
  constexpr std::string_view kEnglish = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|";
  const auto has = [&](std::string_view part) { return steps.find(part) != std::string::npos; };
  if (steps == "bytes+gpt2") return "gpt-2";
  if (steps == "digit|||bytes+gpt2") return "smollm";
  if (has(kEnglish) && has("|\\p{N}{1,3}|")) return "llama-bpe";
  if (has(kEnglish) && has("|\\p{N}| ?")) return "qwen2";
  if (has("\\p{N}{1,3}") && has("[一-龥぀-ゟ゠-ヿ]+")) return "deepseek-v3";
  if (has("\\s?\\p{L}+") && has("\\s?\\p{P}+") && has(kCjk)) return "deepseek-coder";
  if (has("[\\r\\n]") && has(kCjk) && has("\\s+$")) return "deepseek-llm";
  return "";
}

class Builder {
 public:
  Builder(const json& tokenizer, const json& config, const json& generation, const json& model)
      : tokenizer_(tokenizer), config_(config), generation_(generation), model_config_(model) {}

  Result<TokenizerSource> build() {
    THAW_TRY_DO(read_model());
    THAW_TRY_DO(read_added());
    THAW_TRY_DO(read_steps());
    fill_holes();
    read_special();
    return std::move(source_);
  }

 private:
  Result<Done> read_model() {
    const auto model = tokenizer_.find("model");
    if (model == tokenizer_.end() || !model->is_object()) return corrupt("no 'model'");
    const std::string type = string_at(*model, "type");
    const auto vocab = model->find("vocab");
    const auto merges = model->find("merges");
    if ((!type.empty() && type != "BPE") || vocab == model->end() || !vocab->is_object() ||
        merges == model->end() || !merges->is_array()) {
      return unsupported(cat("a model of type ", snapshot::quote(type), ", this build reads BPE"));
    }
    for (const auto& [spelling, id] : vocab->items()) THAW_TRY_DO(place(spelling, id));
    for (const json& merge : *merges) {
      if (merge.is_string()) {
        source_.merges.push_back(merge.get<std::string>());
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                 merge[1].is_string()) {
        source_.merges.push_back(
            cat(merge[0].get<std::string>(), " ", merge[1].get<std::string>()));
      } else {
        return corrupt(cat("merge ", source_.merges.size(), " is neither 'a b' nor [a, b]"));
      }
    }
    source_.ignore_merges = bool_at(*model, "ignore_merges", false);
    if (bool_at(*model, "byte_fallback", false)) to_sentence_piece(string_at(*model, "unk_token"));
    return Done{};
  }

  Result<Done> place(const std::string& spelling, const json& id) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kTokensMax) {
      return corrupt("a token's id is no number or too large");
    }
    const auto at = id.get<std::size_t>();
    if (at >= source_.tokens.size()) {
      source_.tokens.resize(at + 1);
      present_.resize(at + 1, false);
      source_.types.resize(at + 1, TokenType::kUnused);
    }
    if (present_[at] && source_.tokens[at] != spelling) {
      return corrupt(cat("id ", at, " is given to two tokens"));
    }
    present_[at] = true;
    source_.tokens[at] = spelling;
    source_.types[at] = TokenType::kNormal;
    ids_[spelling] = static_cast<Token>(at);
    return Done{};
  }

  // BPE with byte fallback is SentencePiece's: the rank of the merge that makes a piece is its
  // score, since the files' merges are listed by score.
  void to_sentence_piece(const std::string& unknown) {
    source_.model = TokenizerSource::Model::kSentencePiece;
    source_.scores.assign(source_.tokens.size(), 0.0f);
    float rank = 0;
    for (const std::string& merge : source_.merges) {
      const std::size_t space = merge.find(' ');
      const auto made = ids_.find(merge.substr(0, space) + merge.substr(space + 1));
      rank -= 1;
      if (made != ids_.end() && source_.scores[made->second] == 0) {
        source_.scores[made->second] = rank;
      }
    }
    source_.merges.clear();
    for (std::size_t i = 0; i < source_.tokens.size(); ++i) {
      const std::string& token = source_.tokens[i];
      if (token.size() == 6 && token.starts_with("<0x") && token.back() == '>') {
        source_.types[i] = TokenType::kByte;
      }
      if (token == unknown && !unknown.empty()) {
        source_.types[i] = TokenType::kUnknown;
        source_.unknown = static_cast<Token>(i);
      }
    }
  }

  Result<Done> read_added() {
    const auto added = tokenizer_.find("added_tokens");
    if (added == tokenizer_.end()) return Done{};
    if (!added->is_array()) return corrupt("'added_tokens' is no array");
    for (const json& token : *added) {
      if (!token.is_object() || !token.contains("id")) return corrupt("an added token has no id");
      const std::string spelling = string_at(token, "content");
      THAW_TRY_DO(place(spelling, token["id"]));
      const auto id = token["id"].get<std::size_t>();
      if (source_.unknown == static_cast<Token>(id)) {
        source_.types[id] = TokenType::kUnknown;
      } else {
        source_.types[id] =
            bool_at(token, "special", false) ? TokenType::kControl : TokenType::kUserDefined;
      }
    }
    if (!source_.scores.empty()) source_.scores.resize(source_.tokens.size(), 0.0f);
    return Done{};
  }

  Result<Done> read_steps() {
    std::string normalisers;
    const auto normaliser = tokenizer_.find("normalizer");
    if (normaliser != tokenizer_.end() && normaliser->is_object()) {
      normalisers = normaliser->dump();
      source_.nfc = normalisers.find("\"NFC\"") != std::string::npos;
    }
    if (source_.model == TokenizerSource::Model::kSentencePiece) {
      source_.pre = "default";
      const auto step = tokenizer_.find("pre_tokenizer");
      const bool metaspace = step != tokenizer_.end() && step->is_object() &&
                             string_at(*step, "type") == "Metaspace" &&
                             string_at(*step, "prepend_scheme") != "never";
      source_.add_space_prefix = metaspace || normalisers.find("Prepend") != std::string::npos;
      return Done{};
    }
    for (const char* known : {"Lowercase", "Replace", "StripAccents", "Prepend", "NFKC", "NFD"}) {
      if (normalisers.find(known) != std::string::npos) {
        return unsupported(cat("normaliser '", known, "', this build knows NFC"));
      }
    }
    const auto pre = tokenizer_.find("pre_tokenizer");
    const std::string steps = pre == tokenizer_.end() ? "" : signature(*pre);
    source_.pre = pre_named(steps);
    if (source_.pre.empty()) {
      return unsupported(cat("a pre-tokenizer this build does not know: ", steps.substr(0, 200)));
    }
    return Done{};
  }

  // Ids that no token has keep their place, under a name of their own.
  void fill_holes() {
    for (std::size_t i = 0; i < source_.tokens.size(); ++i) {
      if (!present_[i]) source_.tokens[i] = cat("<|unused:", i, "|>");
    }
  }

  // A token named by its spelling, or by an object that holds it.
  std::optional<Token> token_named(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end()) return std::nullopt;
    const std::string spelling = found->is_object()   ? string_at(*found, "content")
                                 : found->is_string() ? found->get<std::string>()
                                                      : "";
    const auto id = ids_.find(spelling);
    return id == ids_.end() ? std::nullopt : std::optional(id->second);
  }

  void add_ends(const json& object, std::set<Token>& ends) const {
    const auto found = object.find("eos_token_id");
    if (found == object.end()) return;
    for (const json& id : found->is_array() ? *found : json::array({*found})) {
      if (id.is_number_unsigned() && id.get<std::uint64_t>() < source_.tokens.size()) {
        ends.insert(id.get<Token>());
      }
    }
  }

  void read_special() {
    source_.bos = token_named(config_, "bos_token");
    source_.eos = token_named(config_, "eos_token");
    source_.padding = token_named(config_, "pad_token");
    // The post-processor says whether BOS is put before a text; older files say it in the config.
    const auto post = tokenizer_.find("post_processor");
    bool adds = bool_at(config_, "add_bos_token", false);
    if (post != tokenizer_.end() && post->is_object() && source_.bos) {
      adds =
          adds || post->dump().find(json(source_.tokens[*source_.bos]).dump()) != std::string::npos;
    }
    source_.add_bos = adds && source_.bos.has_value();
    std::set<Token> ends;
    if (source_.eos) ends.insert(*source_.eos);
    add_ends(generation_, ends);
    add_ends(model_config_, ends);
    for (const char* spelling : {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>"}) {
      if (const auto id = ids_.find(spelling); id != ids_.end()) ends.insert(id->second);
    }
    source_.ends.assign(ends.begin(), ends.end());
  }

  const json& tokenizer_;
  const json& config_;
  const json& generation_;
  const json& model_config_;
  TokenizerSource source_;
  std::vector<bool> present_;
  std::map<std::string, Token> ids_;
};

// The template as a string, or the one named "default" of several.
std::string template_in(const json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const json& entry : *found) {
    if (entry.is_object() && string_at(entry, "name") == "default") {
      return string_at(entry, "template");
    }
  }
  return "";
}

}  // namespace

Result<HfTokenizer> read_hf_tokenizer(const HfTokenizerFiles& files) {
  if (files.tokenizer.empty()) {
    return unsupported("the directory has none; this build reads no other tokenizer files");
  }
  const json tokenizer = parse(files.tokenizer);
  const json config = parse(files.tokenizer_config);
  const json generation = parse(files.generation_config);
  const json model = parse(files.config);
  if (!tokenizer.is_object()) return corrupt("not a JSON object");
  for (const json* other : {&config, &generation, &model}) {
    if (!other->is_object()) return corrupt("a companion file is not a JSON object");
  }
  HfTokenizer out;
  THAW_TRY(source, Builder(tokenizer, config, generation, model).build());
  out.source = std::move(source);
  out.chat_template = files.chat_template.empty() ? template_in(config) : files.chat_template;
  return out;
}

}  // namespace thaw::freeze
