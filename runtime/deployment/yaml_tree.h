// A YAML file as a plain tree with places, and nothing of it that could hurt: bytes, nodes (aliases
// counted wherever they are used) and depth have limits. The only source that knows yaml-cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::deployment {

struct Place {
  std::uint32_t line = 0, column = 0;  // from 1
};

struct Member;

struct Node {
  enum class Kind : unsigned char { kNull, kText, kList, kMap };
  Kind kind = Kind::kNull;
  std::string tag;   // "!Ref", or empty
  std::string text;  // of kText
  std::vector<Node> items;
  std::vector<Member> members;  // in their order, no name twice
  Place place;

  bool is_map() const { return kind == Kind::kMap; }
  bool is_text() const { return kind == Kind::kText; }
  const Node* find(std::string_view name) const;  // null where there is none
};

struct Member {
  std::string name;
  Node value;
};

inline constexpr std::size_t kYamlBytesMax = 1u << 20;  // CloudFormation's limit
inline constexpr std::size_t kYamlNodesMax = 20'000;
inline constexpr std::size_t kYamlDepthMax = 40;

// `name` is what messages call the file. Errors: kInvalid, kLimit.
Result<Node> read_yaml(std::string_view name, std::string_view text);

// Texts of a template in a message: control characters as spaces, cut after 300 bytes.
std::string one_line(std::string_view text);
// "template 'x.yaml': line 3, column 5: WHAT", in one line whatever names are in WHAT.
Error error_at(std::string_view name, const Node& node, std::string_view what);

}  // namespace thaw::deployment
