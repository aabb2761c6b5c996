#include "handler/model/plan.h"

#include <cmath>
#include <string>

#include "base/str.h"

namespace thaw::model {
namespace {

using kernels::Kind;
using kernels::Matrix;
using snapshot::SectionType;

Error corrupt(std::string what) { return fail(Code::kCorrupt, cat("model plan: ", what)); }

Result<Done> in_range(std::string_view name, std::uint64_t value, std::uint64_t low,
                      std::uint64_t high) {
  if (value >= low && value <= high) return Done{};
  return corrupt(cat("'", name, "' is ", value, ", wanted ", low, " to ", high,
                     "; the snapshot is damaged, freeze it anew"));
}

Result<Done> check_config(const Config& config) {
  if (config.version != kModelVersion) {
    return fail(Code::kUnsupported, cat("model plan: model section version ", config.version,
                                        ", this build reads ", kModelVersion,
                                        "; freeze the model anew"));
  }
  if (config.arithmetic_version != kernels::kArithmeticVersion) {
    return fail(Code::kUnsupported,
                cat("model plan: frozen for arithmetic version ", config.arithmetic_version,
                    ", this build has ", kernels::kArithmeticVersion, "; freeze the model anew"));
  }
  THAW_TRY_DO(in_range("architecture", config.architecture, 1, 3));
  THAW_TRY_DO(in_range("layers", config.layers, 1, kLayersMax));
  THAW_TRY_DO(in_range("dim", config.dim, 1, kDimMax));
  THAW_TRY_DO(in_range("heads", config.heads, 1, kHeadsMax));
  THAW_TRY_DO(in_range("kv_heads", config.kv_heads, 1, config.heads));
  THAW_TRY_DO(in_range("head_dim", config.head_dim, 1, kDimMax / config.heads));
  THAW_TRY_DO(in_range("value_dim", config.value_dim, 1, kDimMax / config.heads));
  THAW_TRY_DO(in_range("ffn_dim", config.ffn_dim, 1, kDimMax));
  THAW_TRY_DO(in_range("vocabulary", config.vocabulary, 1, kVocabularyMax));
  THAW_TRY_DO(in_range("context_tokens", config.context_tokens, 1, kContextMax));
  THAW_TRY_DO(in_range("rope_pairs", config.rope_pairs, 0, config.head_dim / 2));
  THAW_TRY_DO(in_range("rope_interleaved", config.rope_interleaved, 0, 1));
  if (config.heads % config.kv_heads != 0) {
    return corrupt(cat(config.heads, " heads, not a multiple of ", config.kv_heads, " kv heads"));
  }
  if (!std::isfinite(config.rope_factor) || !std::isfinite(config.attention_scale) ||
      !std::isfinite(config.rms_epsilon) || config.rms_epsilon < 0) {
    return corrupt("a scale or epsilon is not finite; freeze the model anew");
  }
  return Done{};
}

// Collects the tensor table's entries into a Plan, each checked against the shape its role wants.
class Assembler {
 public:
  Assembler(const snapshot::Reader& reader, Plan& plan) : reader_(reader), plan_(plan) {}

  Result<Done> add(const TensorEntry& entry) {
    const auto role = static_cast<Role>(entry.role);
    const Config& c = plan_.config;
    if (role == Role::kEmbedding) return add_embedding(entry);
    if (role == Role::kOutputNorm) return vector(entry, c.dim, plan_.output_norm);
    if (role == Role::kOutput) return matrix(entry, c.vocabulary, c.dim, plan_.output);
    if (entry.layer >= c.layers) {
      return corrupt(cat("tensor '", tensor_name(role, entry.layer), "', the model has ", c.layers,
                         " layers"));
    }
    return add_to_layer(entry, role, plan_.layers[entry.layer]);
  }

 private:
  Result<Done> add_to_layer(const TensorEntry& entry, Role role, LayerPlan& layer) {
    const Config& c = plan_.config;
    switch (role) {
      case Role::kAttentionNorm: return vector(entry, c.dim, layer.attention_norm);
      case Role::kQuery: return matrix(entry, c.heads * c.head_dim, c.dim, layer.query);
      case Role::kKey: return matrix(entry, c.kv_heads * c.head_dim, c.dim, layer.key);
      case Role::kValue: return matrix(entry, c.kv_heads * c.value_dim, c.dim, layer.value);
      case Role::kQueryBias: return vector(entry, c.heads * c.head_dim, layer.query_bias);
      case Role::kKeyBias: return vector(entry, c.kv_heads * c.head_dim, layer.key_bias);
      case Role::kValueBias: return vector(entry, c.kv_heads * c.value_dim, layer.value_bias);
      case Role::kQueryNorm: return vector(entry, c.head_dim, layer.query_norm);
      case Role::kKeyNorm: return vector(entry, c.head_dim, layer.key_norm);
      case Role::kAttentionOutput:
        return matrix(entry, c.dim, c.heads * c.value_dim, layer.attention_output);
      case Role::kFeedForwardNorm: return vector(entry, c.dim, layer.feed_forward_norm);
      case Role::kGate: return matrix(entry, c.ffn_dim, c.dim, layer.gate);
      case Role::kUp: return matrix(entry, c.ffn_dim, c.dim, layer.up);
      case Role::kDown: return matrix(entry, c.dim, c.ffn_dim, layer.down);
      default: return corrupt(cat("tensor role ", entry.role, ", unknown to this build"));
    }
  }

  Result<Done> add_embedding(const TensorEntry& entry) {
    const Config& c = plan_.config;
    if (entry.layout == static_cast<std::uint32_t>(Layout::kPanels)) {
      return matrix(entry, c.vocabulary, c.dim, plan_.tied_embedding);
    }
    THAW_TRY(bytes, bytes_of(entry, c.vocabulary, c.dim, Layout::kRows));
    if (!plan_.embedding_rows.empty()) return twice(entry);
    plan_.embedding_rows = bytes;
    plan_.embedding_kind = static_cast<Kind>(entry.kind);
    return Done{};
  }

  Result<Done> matrix(const TensorEntry& entry, std::uint32_t rows, std::uint32_t cols,
                      Matrix& to) {
    THAW_TRY(bytes, bytes_of(entry, rows, cols, Layout::kPanels));
    if (to.panels != nullptr) return twice(entry);
    to = {static_cast<Kind>(entry.kind), rows, cols, bytes.data()};
    return Done{};
  }

  Result<Done> vector(const TensorEntry& entry, std::uint32_t count, const float*& to) {
    if (entry.kind != static_cast<std::uint32_t>(Kind::kF32)) {
      return corrupt(cat("tensor '", name(entry), "': kind ", entry.kind, ", vectors are f32"));
    }
    THAW_TRY(bytes, bytes_of(entry, 1, count, Layout::kRows));
    if (to != nullptr) return twice(entry);
    to = reinterpret_cast<const float*>(bytes.data());
    return Done{};
  }

  Result<Bytes> bytes_of(const TensorEntry& entry, std::uint32_t rows, std::uint32_t cols,
                         Layout layout) {
    if (entry.rows != rows || entry.cols != cols) {
      return corrupt(cat("tensor '", name(entry), "': shape [", entry.rows, ", ", entry.cols,
                         "], the config wants [", rows, ", ", cols, "]"));
    }
    if (kernels::find_kind(entry.kind) == nullptr) {
      return corrupt(cat("tensor '", name(entry), "': kind ", entry.kind, ", unknown"));
    }
    if (entry.layout != static_cast<std::uint32_t>(layout)) {
      return corrupt(cat("tensor '", name(entry), "': layout ", entry.layout, ", wanted ",
                         static_cast<std::uint32_t>(layout)));
    }
    const auto kind = static_cast<Kind>(entry.kind);
    const auto want = layout == Layout::kPanels ? kernels::panels_bytes(kind, rows, cols)
                                                : kernels::rows_bytes(kind, rows, cols);
    THAW_TRY(section, reader_.section(static_cast<SectionType>(entry.section)));
    if (!want || entry.bytes != *want || entry.offset % 64 != 0 || entry.offset > section.size() ||
        section.size() - entry.offset < entry.bytes) {
      return corrupt(cat("tensor '", name(entry), "': ", entry.bytes, " bytes at ", entry.offset,
                         " of a section of ", section.size(), "; the snapshot is damaged"));
    }
    return section.subspan(entry.offset, entry.bytes);
  }

  static std::string name(const TensorEntry& entry) {
    return tensor_name(static_cast<Role>(entry.role), entry.layer);
  }
  static Error twice(const TensorEntry& entry) {
    return corrupt(cat("tensor '", name(entry), "': listed twice"));
  }

  const snapshot::Reader& reader_;
  Plan& plan_;
};

Result<Done> check_complete(const Plan& plan) {
  const auto want = [](const void* pointer, Role role, std::uint32_t layer) -> Result<Done> {
    if (pointer != nullptr) return Done{};
    return corrupt(cat("tensor '", tensor_name(role, layer), "' is missing"));
  };
  THAW_TRY_DO(want(plan.output_norm, Role::kOutputNorm, 0));
  THAW_TRY_DO(want(plan.output.panels, Role::kOutput, 0));
  if (plan.embedding_rows.empty()) {
    THAW_TRY_DO(want(plan.tied_embedding.panels, Role::kEmbedding, 0));
  }
  for (std::uint32_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    THAW_TRY_DO(want(layer.attention_norm, Role::kAttentionNorm, i));
    THAW_TRY_DO(want(layer.query.panels, Role::kQuery, i));
    THAW_TRY_DO(want(layer.key.panels, Role::kKey, i));
    THAW_TRY_DO(want(layer.value.panels, Role::kValue, i));
    THAW_TRY_DO(want(layer.attention_output.panels, Role::kAttentionOutput, i));
    THAW_TRY_DO(want(layer.feed_forward_norm, Role::kFeedForwardNorm, i));
    THAW_TRY_DO(want(layer.gate.panels, Role::kGate, i));
    THAW_TRY_DO(want(layer.up.panels, Role::kUp, i));
    THAW_TRY_DO(want(layer.down.panels, Role::kDown, i));
    if ((layer.query_norm == nullptr) != (layer.key_norm == nullptr)) {
      return corrupt(cat("layer ", i, " has one of query_norm and key_norm, wanted both or none"));
    }
  }
  return Done{};
}

}  // namespace

Result<Plan> Plan::make(const snapshot::Reader& reader) {
  Plan plan;
  THAW_TRY(model, reader.section(SectionType::kModel));
  const auto config = load_at<Config>(model, 0);
  if (!config) return corrupt(cat("model section of ", model.size(), " bytes, cut short"));
  plan.config = *config;
  THAW_TRY_DO(check_config(plan.config));
  if (model.size() != sizeof(Config) + plan.config.rope_pairs * sizeof(std::uint64_t)) {
    return corrupt(cat("model section of ", model.size(), " bytes for ", plan.config.rope_pairs,
                       " rope pairs"));
  }
  // Sections are 4096-byte aligned and Config is 128 bytes: the turns are aligned.
  plan.rope_turns = {reinterpret_cast<const std::uint64_t*>(model.data() + sizeof(Config)),
                     plan.config.rope_pairs};

  THAW_TRY(table, reader.section(SectionType::kTensors));
  if (table.size() % sizeof(TensorEntry) != 0) {
    return corrupt(cat("tensor table of ", table.size(), " bytes, not a multiple of ",
                       sizeof(TensorEntry)));
  }
  plan.layers.resize(plan.config.layers);
  Assembler assembler(reader, plan);
  for (std::size_t at = 0; at < table.size(); at += sizeof(TensorEntry)) {
    THAW_TRY_DO(assembler.add(load<TensorEntry>(table.data() + at)));
  }
  if (plan.output.panels == nullptr) plan.output = plan.tied_embedding;
  THAW_TRY_DO(check_complete(plan));
  return plan;
}

}  // namespace thaw::model
