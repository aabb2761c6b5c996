#include "snapshot/safetensors/safetensors.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "snapshot/name.h"
#include "snapshot/safetensors/parse.h"

namespace thaw::safetensors {
namespace {

using snapshot::quote;

constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kIndexName = "model.safetensors.index.json";

Error corrupt(const std::string& path, std::string_view found) {
  return fail(Code::kCorrupt, cat("open ", quote(path), ": ", found, "; fetch the file again"));
}

// Tensors cover the data without holes or overlaps, as the format demands: nothing hides in a file.
Result<Done> check_cover(const std::string& path, std::span<const Stated> tensors,
                         std::uint64_t data_bytes) {
  std::vector<const Stated*> order;
  order.reserve(tensors.size());
  for (const Stated& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const Stated* a, const Stated* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t end = 0;
  for (const Stated* tensor : order) {
    if (tensor->begin != end) {
      return corrupt(path, cat("tensor ", quote(tensor->name), " begins at ", tensor->begin,
                               ", what precedes it ends at ", end,
                               tensor->begin < end ? ": they overlap" : ": there is a hole"));
    }
    end = tensor->end;
  }
  if (end == data_bytes) return Done{};
  return corrupt(path, cat(data_bytes, " bytes of data, its tensors have ", end));
}

// One mapped file's tensors, sorted by name.
Result<std::vector<Tensor>> read_file(const std::string& path, Bytes file) {
  const auto stated_bytes = load_at<std::uint64_t>(file, 0);
  if (!stated_bytes) return corrupt(path, cat(file.size(), " bytes, a length alone has 8"));
  if (*stated_bytes > kHeaderBytesMax) {
    return fail(Code::kLimit,
                cat("open ", quote(path), ": a header of ", *stated_bytes, " bytes, at most ",
                    kHeaderBytesMax, " are read; is it a safetensors file?"));
  }
  const Bytes after = file.subspan(sizeof *stated_bytes);
  if (*stated_bytes > after.size()) {
    return corrupt(path, cat("a header of ", *stated_bytes, " bytes, the file has ", file.size()));
  }
  const std::string_view header = as_text(after.first(*stated_bytes));
  if (header.empty() || header.front() != '{') {
    return corrupt(path, "the header does not begin with '{'");
  }
  const Bytes data = after.subspan(*stated_bytes);
  THAW_TRY(stated, parse_header(path, header));
  THAW_TRY_DO(check_cover(path, stated, data.size()));
  std::vector<Tensor> tensors;
  tensors.reserve(stated.size());
  for (Stated& tensor : stated) {
    tensors.push_back({std::move(tensor.name), tensor.type, std::move(tensor.shape),
                       data.subspan(tensor.begin, tensor.end - tensor.begin)});
  }
  return tensors;
}

// A name in an index must be that of a file beside it, and nothing else.
bool is_file_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && snapshot::is_plain_text(name) &&
         name.find_first_of("/\\") == std::string_view::npos;
}

}  // namespace

struct Model::State {
  std::vector<std::unique_ptr<Mapping>> mappings;
  std::vector<Tensor> tensors;  // sorted by name

  Result<std::vector<Tensor>> map(Files& files, const std::string& path) {
    THAW_TRY(mapping, files.map(path));
    mappings.push_back(std::move(mapping));
    return read_file(path, mappings.back()->bytes());
  }
  Result<Done> open_shards(Files& files, const std::string& directory, const std::string& index);
};

Result<Done> Model::State::open_shards(Files& files, const std::string& directory,
                                       const std::string& index) {
  THAW_TRY(json, read_text(files, index, kIndexBytesMax));
  THAW_TRY(placements, parse_index(index, json));
  std::vector<std::string_view> names;
  for (const Placement& placement : placements) {
    if (!is_file_name(placement.file)) {
      return corrupt(index, cat("tensor ", quote(placement.tensor), " lies in ",
                                quote(placement.file), ", which is no name of a file beside it"));
    }
    names.push_back(placement.file);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.size() > kShardCountMax) {
    return fail(Code::kLimit, cat("open ", quote(index), ": ", names.size(), " files, at most ",
                                  kShardCountMax, " are read"));
  }
  for (const std::string_view name : names) {
    THAW_TRY(loaded, map(files, cat(directory, '/', name)));
    for (Tensor& tensor : loaded) {
      const auto placement =
          std::lower_bound(placements.begin(), placements.end(), tensor.name,
                           [](const Placement& a, const std::string& b) { return a.tensor < b; });
      if (placement == placements.end() || placement->tensor != tensor.name ||
          placement->file != name) {
        return corrupt(index, cat("file ", quote(name), " holds tensor ", quote(tensor.name),
                                  ", which the index does not place there"));
      }
      tensors.push_back(std::move(tensor));
    }
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  // Each tensor is where the index has it, so no two are alike, and only absent ones remain.
  for (std::size_t at = 0; at < placements.size(); ++at) {
    if (at < tensors.size() && tensors[at].name == placements[at].tensor) continue;
    return corrupt(index, cat("tensor ", quote(placements[at].tensor), " is not in ",
                              quote(placements[at].file)));
  }
  return Done{};
}

Model::Model() : state_(std::make_unique<State>()) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::open(Files& files, const std::string& directory) {
  std::unique_ptr<Model> model(new Model());
  State& state = *model->state_;
  const std::string index = cat(directory, '/', kIndexName);
  const auto status = files.stat(index);
  if (status.has_value()) {
    THAW_TRY_DO(state.open_shards(files, directory, index));
    return model;
  }
  if (status.error().code != Code::kNotFound) return status.error();
  THAW_TRY(tensors, state.map(files, cat(directory, '/', kSingleName)));
  state.tensors = std::move(tensors);
  return model;
}

std::span<const Tensor> Model::tensors() const { return state_->tensors; }

const Tensor* Model::find(std::string_view name) const {
  const auto& tensors = state_->tensors;
  const auto found = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const Tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found == tensors.end() || found->name != name ? nullptr : &*found;
}

}  // namespace thaw::safetensors
