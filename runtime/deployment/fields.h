// Members of a resolved node as what they are to be, or an error that names the place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/deployment/yaml_tree.h"

namespace thaw::deployment {

class Fields {
 public:
  // Both outlive it. `node` may be null: everything is absent.
  Fields(std::string_view name, const Node* node) : name_(name), node_(node) {}

  Result<std::optional<std::string>> text(std::string_view key) const;
  Result<std::optional<std::uint32_t>> number(std::string_view key, std::uint32_t min,
                                              std::uint32_t max) const;
  Result<std::optional<bool>> flag(std::string_view key) const;
  // One text counts as a list of one.
  Result<std::vector<std::string>> texts(std::string_view key) const;
  Result<Fields> map(std::string_view key) const;  // empty where there is none

  bool present() const { return node_ != nullptr; }
  const Node* node() const { return node_; }
  Error error(std::string_view what) const { return error_at(name_, *node_, what); }

 private:
  const Node* find(std::string_view key) const;
  std::string_view name_;
  const Node* node_;
};

}  // namespace thaw::deployment
