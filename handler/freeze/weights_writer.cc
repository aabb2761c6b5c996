#include "handler/freeze/weights_writer.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "base/str.h"
#include "kernels/pack.h"

namespace thaw::freeze {
namespace {

using kernels::Kind;
using model::Layout;
using model::Role;
using snapshot::SectionType;

// Packed bytes held at once: bounds memory, and is enough work for the threads.
constexpr std::uint64_t kBatchBytes = 8 << 20;
constexpr std::uint64_t kTensorAlign = 64;

// Forward order within a layer, then what follows the layers.
constexpr std::array kLayerOrder = {Role::kAttentionNorm,
                                    Role::kQuery,
                                    Role::kKey,
                                    Role::kValue,
                                    Role::kQueryBias,
                                    Role::kKeyBias,
                                    Role::kValueBias,
                                    Role::kQueryNorm,
                                    Role::kKeyNorm,
                                    Role::kAttentionOutput,
                                    Role::kFeedForwardNorm,
                                    Role::kGate,
                                    Role::kUp,
                                    Role::kDown};

bool is_optional(Role role) {
  switch (role) {
    case Role::kQueryBias:
    case Role::kKeyBias:
    case Role::kValueBias:
    case Role::kQueryNorm:
    case Role::kKeyNorm: return true;
    default: return false;
  }
}

Error corrupt(std::string what) { return fail(Code::kCorrupt, cat("freeze: ", what)); }

class Placer {
 public:
  Placer(const ModelSource& source, Weights weights) : source_(source), weights_(weights) {}

  Result<std::vector<PlacedTensor>> place() {
    for (const SourceTensor& tensor : source_.tensors) {
      if (!by_role_.emplace(std::pair(tensor.layer, tensor.role), &tensor).second) {
        return corrupt(cat("tensor '", tensor.name, "' is there twice"));
      }
    }
    THAW_TRY_DO(model::validate(source_.config));
    const std::uint32_t layers = source_.config.layers;
    for (std::uint32_t layer = 0; layer < layers; ++layer) {
      for (const Role role : kLayerOrder) THAW_TRY_DO(take(role, layer, is_optional(role)));
    }
    THAW_TRY_DO(take(Role::kOutputNorm, 0, false));
    const bool tied = !by_role_.contains(std::pair(0u, Role::kOutput));
    if (!tied) THAW_TRY_DO(take(Role::kOutput, 0, false));
    THAW_TRY_DO(take(Role::kEmbedding, 0, false, !tied));
    if (!by_role_.empty()) {
      return corrupt(
          cat("tensor '", by_role_.begin()->second->name, "', the model has ", layers, " layers"));
    }
    return std::move(placed_);
  }

 private:
  Result<Done> take(Role role, std::uint32_t layer, bool optional, bool as_rows = false) {
    const auto found = by_role_.find({layer, role});
    if (found == by_role_.end()) {
      if (optional) return Done{};
      return corrupt(cat("tensor '", model::tensor_name(role, layer), "' is missing"));
    }
    const SourceTensor& tensor = *found->second;
    by_role_.erase(found);
    const model::Shape shape = *model::shape_of(source_.config, role);
    // A vector may come as one row or as one column.
    const bool fits = shape.is_vector ? tensor.rows * tensor.cols == shape.cols &&
                                            (tensor.rows == 1 || tensor.cols == 1)
                                      : tensor.rows == shape.rows && tensor.cols == shape.cols;
    if (!fits) {
      return corrupt(cat("weights '", tensor.name, "': shape [", tensor.rows, ", ", tensor.cols,
                         "], the config wants [", shape.rows, ", ", shape.cols, "]"));
    }
    KindChoice choice{Kind::kF32, true};
    if (!shape.is_vector) {
      THAW_TRY(chosen, choose_kind(tensor, weights_));
      choice = chosen;
    }
    return add(tensor, shape, choice, as_rows || shape.is_vector, as_rows);
  }

  Result<Done> add(const SourceTensor& tensor, const model::Shape& shape, KindChoice choice,
                   bool rows_layout, bool own_section) {
    std::uint64_t& end = own_section ? embedding_bytes_ : weights_bytes_;
    PlacedTensor to;
    to.source = &tensor;
    to.is_exact = choice.is_exact;
    const auto bytes = rows_layout ? kernels::rows_bytes(choice.kind, shape.rows, shape.cols)
                                   : kernels::panels_bytes(choice.kind, shape.rows, shape.cols);
    if (!bytes) return corrupt(cat("weights '", tensor.name, "': too large"));
    to.entry.role = static_cast<std::uint32_t>(tensor.role);
    to.entry.layer = tensor.layer;
    to.entry.kind = static_cast<std::uint32_t>(choice.kind);
    to.entry.layout = static_cast<std::uint32_t>(rows_layout ? Layout::kRows : Layout::kPanels);
    to.entry.rows = shape.rows;
    to.entry.cols = shape.cols;
    to.entry.section =
        static_cast<std::uint32_t>(own_section ? SectionType::kEmbedding : SectionType::kWeights);
    to.entry.offset = round_up(end, kTensorAlign);
    to.entry.bytes = *bytes;
    end = to.entry.offset + *bytes;
    placed_.push_back(to);
    return Done{};
  }

  const ModelSource& source_;
  Weights weights_;
  std::map<std::pair<std::uint32_t, Role>, const SourceTensor*> by_role_;
  std::vector<PlacedTensor> placed_;
  std::uint64_t weights_bytes_ = 0;
  std::uint64_t embedding_bytes_ = 0;
};

// Converts one tensor in batches of units (a panel of 16 rows, or one row) and appends them.
class TensorWriter {
 public:
  TensorWriter(snapshot::Writer& writer, ThreadPool& pool)
      : writer_(writer), pool_(pool), scratch_(pool.threads()) {}

  Result<Done> write(const PlacedTensor& placed) {
    // A vector that lies as a column is the same bytes as a row.
    SourceTensor tensor = *placed.source;
    tensor.rows = placed.entry.rows;
    tensor.cols = placed.entry.cols;
    const auto kind = static_cast<Kind>(placed.entry.kind);
    const bool panels = placed.entry.layout == static_cast<std::uint32_t>(Layout::kPanels);
    const std::uint64_t unit_rows = panels ? kernels::kPanelRows : 1;
    const std::uint64_t units = (tensor.rows + unit_rows - 1) / unit_rows;
    const std::uint64_t unit_bytes = placed.entry.bytes / units;
    const std::uint64_t per_batch = std::max<std::uint64_t>(1, kBatchBytes / unit_bytes);
    for (std::uint64_t first = 0; first < units; first += per_batch) {
      const std::uint64_t count = std::min(per_batch, units - first);
      batch_.resize(count * unit_bytes);
      failed_.reset();
      pool_.run(count, [&](std::size_t unit, unsigned thread) {
        const std::uint64_t row = (first + unit) * unit_rows;
        const std::uint64_t rows = std::min(unit_rows, tensor.rows - row);
        const auto to = std::span(batch_).subspan(unit * unit_bytes, unit_bytes);
        Result<Done> done = convert(tensor, kind, row, rows, to, panels, scratch_[thread]);
        if (done) return;
        const std::lock_guard lock(mutex_);
        if (!failed_) failed_ = std::move(done).error();
      });
      if (failed_) return *failed_;
      THAW_TRY_DO(writer_.append(batch_));
    }
    return Done{};
  }

 private:
  struct Scratch {
    std::vector<std::byte> rows;
    std::vector<float> floats;
  };

  static Result<Done> convert(const SourceTensor& tensor, Kind kind, std::uint64_t row,
                              std::uint64_t rows, std::span<std::byte> to, bool panels,
                              Scratch& scratch) {
    if (!panels) return convert_rows(tensor, kind, row, rows, to, scratch.floats);
    scratch.rows.resize(*kernels::rows_bytes(kind, rows, tensor.cols));
    THAW_TRY_DO(convert_rows(tensor, kind, row, rows, scratch.rows, scratch.floats));
    kernels::pack_panel(kind, scratch.rows, rows, tensor.cols, to);
    return Done{};
  }

  snapshot::Writer& writer_;
  ThreadPool& pool_;
  std::vector<Scratch> scratch_;
  std::vector<std::byte> batch_;
  std::mutex mutex_;
  std::optional<Error> failed_;  // guarded by mutex_ while the pool runs
};

}  // namespace

Result<std::vector<PlacedTensor>> lay_out_weights(const ModelSource& source, Weights weights) {
  return Placer(source, weights).place();
}

Result<Done> write_weights(snapshot::Writer& writer, const std::vector<PlacedTensor>& layout,
                           ThreadPool& pool, const FreezeProgress& progress) {
  std::uint64_t total = 0;
  for (const PlacedTensor& tensor : layout) total += tensor.entry.bytes;
  TensorWriter tensors(writer, pool);
  std::uint64_t done = 0;
  std::uint32_t section = 0;
  for (const PlacedTensor& tensor : layout) {
    if (tensor.entry.section != section) {
      if (section != 0) THAW_TRY_DO(writer.end());
      section = tensor.entry.section;
      THAW_TRY_DO(writer.begin(static_cast<SectionType>(section)));
    }
    THAW_TRY_DO(writer.align(kTensorAlign));
    THAW_TRY_DO(tensors.write(tensor));
    done += tensor.entry.bytes;
    if (progress) progress({{}, done, total});
  }
  return writer.end();
}

void summarise(const std::vector<PlacedTensor>& layout, FreezeReport& report) {
  std::uint64_t inexact = 0;
  for (const PlacedTensor& tensor : layout) {
    const auto role = static_cast<Role>(tensor.entry.role);
    const gguf::TypeInfo* from = gguf::find_type(static_cast<std::uint32_t>(tensor.source->type));
    const std::string_view to = kernels::info(static_cast<Kind>(tensor.entry.kind)).name;
    const bool in_layer = tensor.entry.role >= static_cast<std::uint32_t>(Role::kAttentionNorm);
    const std::string name =
        in_layer ? cat("layers.*.", model::name_of(role)) : std::string(model::name_of(role));
    const std::string type(from->name);
    auto row = std::find_if(report.rows.begin(), report.rows.end(), [&](const FreezeRow& other) {
      return other.tensors == name && other.from == type && other.to == to;
    });
    if (row == report.rows.end()) {
      report.rows.push_back({name, type, to, tensor.is_exact, 0, 0, 0});
      row = report.rows.end() - 1;
    }
    const std::uint64_t weights = std::uint64_t{tensor.entry.rows} * tensor.entry.cols;
    row->count += 1;
    row->weights += weights;
    row->bytes += tensor.entry.bytes;
    report.source_bytes += tensor.source->bytes.size();
    if (!tensor.is_exact) inexact += 1;
    const bool shrinks = tensor.entry.rows > 1 && role != Role::kEmbedding && role != Role::kOutput;
    // q4k is 4.5 bits a weight, q4m, which takes its place for odd widths, 5; the rest stays at q8.
    const std::uint64_t four_bits =
        tensor.entry.cols % 256 == 0 ? weights * 9 / 16 : weights * 5 / 8;
    const std::uint64_t small = shrinks ? four_bits : weights * 17 / 16;
    report.q4k_bytes +=
        tensor.entry.rows > 1 ? std::min(small, tensor.entry.bytes) : tensor.entry.bytes;
  }
  if (inexact > 0) {
    report.notes.push_back(cat(inexact, " tensors have no exact kind and were requantised"));
  }
}

}  // namespace thaw::freeze
