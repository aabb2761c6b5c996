// CloudFormation's functions, as far as a laptop can know what they give: Ref, Fn::Sub, Fn::GetAtt,
// Fn::Join on parameters, pseudo parameters and resources of the template. All others are refused
// by name and place.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/deployment/yaml_tree.h"

namespace thaw::deployment {

class Intrinsics {
 public:
  // `root`: of the template; outlives this. `overrides`: parameters' values.
  // Errors: kInvalid: an override of no parameter.
  static Result<Intrinsics> create(std::string_view name, const Node& root,
                                   const std::map<std::string, std::string>& overrides,
                                   std::string_view region);

  // The node with every function in it replaced by what it gives. Errors: kInvalid, kLimit.
  Result<Node> resolve(const Node& node) const;

 private:
  Intrinsics(std::string_view name, const Node& root) : name_(name), root_(&root) {}
  Result<std::string> ref(const Node& at, std::string_view target) const;
  Result<std::string> get_attribute(const Node& at, std::string_view target) const;
  Result<std::string> substitute(const Node& at) const;
  Result<std::string> join(const Node& at) const;
  Result<Node> call(std::string_view function, const Node& argument) const;
  // What people call the resource: the name in its properties, else its logical id.
  Result<std::string> name_of(const Node& at, std::string_view logical_id) const;

  std::string name_;
  const Node* root_;
  std::map<std::string, std::string, std::less<>> values_;  // parameters, pseudo parameters
  mutable std::size_t calls_ = 0;                           // one thread at a time
};

}  // namespace thaw::deployment
