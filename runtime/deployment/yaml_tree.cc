#include "runtime/deployment/yaml_tree.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "base/str.h"

namespace thaw::deployment {
namespace {

std::string at(std::string_view name, int line, int column) {
  return cat("template '", name, "': line ", line + 1, ", column ", column + 1, ": ");
}

class Converter {
 public:
  explicit Converter(std::string_view name) : name_(name) {}

  Result<Node> convert(const YAML::Node& from, std::size_t depth) {
    Node node;
    const YAML::Mark mark = from.Mark();
    node.place = {static_cast<std::uint32_t>(mark.line + 1),
                  static_cast<std::uint32_t>(mark.column + 1)};
    if (++count_ > kYamlNodesMax) {
      return fail(Code::kLimit, cat("template '", name_, "': more than ", kYamlNodesMax,
                                    " nodes, aliases counted where they are used"));
    }
    if (depth > kYamlDepthMax) {
      return error_at(name_, node, cat("nested deeper than ", kYamlDepthMax));
    }
    if (from.Tag().starts_with("!") && from.Tag() != "!") node.tag = from.Tag();
    switch (from.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: break;
      case YAML::NodeType::Scalar:
        node.kind = Node::Kind::kText;
        node.text = from.Scalar();
        break;
      case YAML::NodeType::Sequence:
        node.kind = Node::Kind::kList;
        for (const YAML::Node& item : from) {
          THAW_TRY(converted, convert(item, depth + 1));
          node.items.push_back(std::move(converted));
        }
        break;
      case YAML::NodeType::Map: THAW_TRY_DO(convert_map(from, depth, node)); break;
    }
    return node;
  }

 private:
  Result<Done> convert_map(const YAML::Node& from, std::size_t depth, Node& node) {
    node.kind = Node::Kind::kMap;
    std::set<std::string> names;
    for (const auto& member : from) {
      if (!member.first.IsScalar()) return error_at(name_, node, "a key that is no text");
      const std::string& key = member.first.Scalar();
      if (!names.insert(key).second) {
        return error_at(name_, node, cat("the key '", key.substr(0, 100), "' comes twice"));
      }
      THAW_TRY(converted, convert(member.second, depth + 1));
      node.members.push_back({key, std::move(converted)});
    }
    return Done{};
  }

  std::string_view name_;
  std::size_t count_ = 0;
};

}  // namespace

Result<Node> read_yaml(std::string_view name, std::string_view text) {
  if (text.size() > kYamlBytesMax) {
    return fail(Code::kLimit, cat("template '", name, "': ", text.size(), " bytes, the limit is ",
                                  kYamlBytesMax));
  }
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    return Converter(name).convert(root, 0);
  } catch (const YAML::Exception& error) {
    const int line = error.mark.is_null() ? 0 : error.mark.line;
    const int column = error.mark.is_null() ? 0 : error.mark.column;
    return fail(Code::kInvalid, at(name, line, column) + one_line(error.msg));
  } catch (const std::exception&) {
    return fail(Code::kInvalid, cat("template '", name, "': not to be read as YAML"));
  }
}

}  // namespace thaw::deployment
