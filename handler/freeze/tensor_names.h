// What tensors are called in the formats that importers read, and what each of them is to a model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "handler/model/config.h"

namespace thaw::freeze {

// One format's names. A tensor of a layer is `layer_prefix`, the layer's number, a full stop, and
// one of `of_layer`.
struct TensorNames {
  struct Name {
    std::string_view name;
    model::Role role;
  };
  std::span<const Name> of_model;
  std::string_view layer_prefix;
  std::span<const Name> of_layer;
  // Of a layer or of the model: what old files carry although it follows from the config.
  std::span<const std::string_view> derived;
};
extern const TensorNames kGgufNames;
extern const TensorNames kHuggingFaceNames;

struct TensorPlace {
  model::Role role{};
  std::uint32_t layer = 0;
  bool is_derived = false;  // nothing to be imported; `role` means nothing
};
// Nothing for a name that no model of the known architectures has.
std::optional<TensorPlace> find_tensor(const TensorNames& names, std::string_view name);

}  // namespace thaw::freeze
