#include "handler/model/plan.h"

#include <string>

#include "base/str.h"

namespace thaw::model {
namespace {

using kernels::Kind;
using kernels::Matrix;
using snapshot::SectionType;

Error corrupt(std::string what) { return fail(Code::kCorrupt, cat("model plan: ", what)); }

// Collects the tensor table's entries into a Plan, each checked against the shape its role wants.
class Assembler {
 public:
  Assembler(const snapshot::Sections& sections, Plan& plan) : sections_(sections), plan_(plan) {}

  Result<Done> add(const TensorEntry& entry) {
    const auto role = static_cast<Role>(entry.role);
    const auto shape = shape_of(plan_.config, role);
    if (!shape) return corrupt(cat("tensor role ", entry.role, ", unknown to this build"));
    const bool in_layer = entry.role >= static_cast<std::uint32_t>(Role::kAttentionNorm);
    if (entry.layer >= (in_layer ? plan_.config.layers : 1)) {
      return corrupt(
          cat("tensor '", name(entry), "', the model has ", plan_.config.layers, " layers"));
    }
    if (role == Role::kEmbedding && entry.layout == static_cast<std::uint32_t>(Layout::kRows)) {
      return add_embedding_rows(entry, *shape);
    }
    if (shape->is_vector) return vector(entry, *shape, *vector_of(role, entry.layer));
    return matrix(entry, *shape, *matrix_of(role, entry.layer));
  }

 private:
  const float** vector_of(Role role, std::uint32_t index) {
    LayerPlan& layer = plan_.layers[index];
    switch (role) {
      case Role::kOutputNorm: return &plan_.output_norm;
      case Role::kAttentionNorm: return &layer.attention_norm;
      case Role::kQueryBias: return &layer.query_bias;
      case Role::kKeyBias: return &layer.key_bias;
      case Role::kValueBias: return &layer.value_bias;
      case Role::kQueryNorm: return &layer.query_norm;
      case Role::kKeyNorm: return &layer.key_norm;
      case Role::kFeedForwardNorm: return &layer.feed_forward_norm;
      default: return nullptr;
    }
  }

  Matrix* matrix_of(Role role, std::uint32_t index) {
    LayerPlan& layer = plan_.layers[index];
    switch (role) {
      case Role::kEmbedding: return &plan_.tied_embedding;
      case Role::kOutput: return &plan_.output;
      case Role::kQuery: return &layer.query;
      case Role::kKey: return &layer.key;
      case Role::kValue: return &layer.value;
      case Role::kAttentionOutput: return &layer.attention_output;
      case Role::kGate: return &layer.gate;
      case Role::kUp: return &layer.up;
      case Role::kDown: return &layer.down;
      default: return nullptr;
    }
  }

  Result<Done> add_embedding_rows(const TensorEntry& entry, Shape shape) {
    THAW_TRY(bytes, bytes_of(entry, shape, Layout::kRows));
    if (!plan_.embedding_rows.empty()) return twice(entry);
    plan_.embedding_rows = bytes;
    plan_.embedding_kind = static_cast<Kind>(entry.kind);
    return Done{};
  }

  Result<Done> matrix(const TensorEntry& entry, Shape shape, Matrix& to) {
    THAW_TRY(bytes, bytes_of(entry, shape, Layout::kPanels));
    if (to.panels != nullptr) return twice(entry);
    to = {static_cast<Kind>(entry.kind), shape.rows, shape.cols, bytes.data()};
    return Done{};
  }

  Result<Done> vector(const TensorEntry& entry, Shape shape, const float*& to) {
    if (entry.kind != static_cast<std::uint32_t>(Kind::kF32)) {
      return corrupt(cat("tensor '", name(entry), "': kind ", entry.kind, ", vectors are f32"));
    }
    THAW_TRY(bytes, bytes_of(entry, shape, Layout::kRows));
    if (to != nullptr) return twice(entry);
    to = reinterpret_cast<const float*>(bytes.data());
    return Done{};
  }

  Result<Bytes> bytes_of(const TensorEntry& entry, Shape shape, Layout layout) {
    const auto [rows, cols, is_vector] = shape;
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
    THAW_TRY(section, sections_.section(static_cast<SectionType>(entry.section)));
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

  const snapshot::Sections& sections_;
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

Result<Plan> Plan::make(const snapshot::Sections& sections) {
  Plan plan;
  THAW_TRY(model, sections.section(SectionType::kModel));
  const auto config = load_at<Config>(model, 0);
  if (!config) return corrupt(cat("model section of ", model.size(), " bytes, cut short"));
  plan.config = *config;
  THAW_TRY_DO(validate(plan.config));
  if (model.size() != sizeof(Config) + plan.config.rope_pairs * sizeof(std::uint64_t)) {
    return corrupt(cat("model section of ", model.size(), " bytes for ", plan.config.rope_pairs,
                       " rope pairs"));
  }
  // Sections are 4096-byte aligned and Config is 128 bytes: the turns are aligned.
  plan.rope_turns = {reinterpret_cast<const std::uint64_t*>(model.data() + sizeof(Config)),
                     plan.config.rope_pairs};

  THAW_TRY(table, sections.section(SectionType::kTensors));
  if (table.size() % sizeof(TensorEntry) != 0) {
    return corrupt(
        cat("tensor table of ", table.size(), " bytes, not a multiple of ", sizeof(TensorEntry)));
  }
  plan.layers.resize(plan.config.layers);
  Assembler assembler(sections, plan);
  for (std::size_t at = 0; at < table.size(); at += sizeof(TensorEntry)) {
    THAW_TRY_DO(assembler.add(load<TensorEntry>(table.data() + at)));
  }
  if (plan.output.panels == nullptr) plan.output = plan.tied_embedding;
  THAW_TRY_DO(check_complete(plan));
  return plan;
}

}  // namespace thaw::model
