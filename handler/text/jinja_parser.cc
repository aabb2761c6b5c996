#include "handler/text/jinja_parser.h"

#include <algorithm>

#include "base/str.h"

namespace thaw::text::jinja {

std::uint32_t Builder::string(std::string_view text) {
  if (const auto found = string_indexes_.find(text); found != string_indexes_.end()) {
    return found->second;
  }
  const auto index = static_cast<std::uint32_t>(strings_.size());
  strings_.emplace_back(text);
  string_indexes_.emplace(text, index);
  return index;
}

Result<std::uint32_t> Builder::add(Node node, const std::vector<std::uint32_t>& list) {
  node.list = static_cast<std::uint32_t>(lists_.size());
  node.count = static_cast<std::uint32_t>(list.size());
  const Shape& shape = shape_of(node.kind);
  std::uint32_t depth = 0;
  const auto visit = [&](Role role, std::uint32_t value) {
    if ((role == Role::kNode || role == Role::kOptionalNode) && value != kAbsent) {
      depth = std::max(depth, depths_[value]);
    }
  };
  visit(shape.a, node.a);
  visit(shape.b, node.b);
  visit(shape.c, node.c);
  visit(shape.d, node.d);
  for (std::size_t i = 0; i < list.size(); ++i) visit(shape.list[i % 2], list[i]);
  if (depth >= kDepthMax) {
    return error_at(Code::kLimit, node.line,
                    cat("an expression or block deeper than ", kDepthMax,
                        ", the limit; take the template apart"));
  }
  lists_.insert(lists_.end(), list.begin(), list.end());
  nodes_.push_back(node);
  depths_.push_back(depth + 1);
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::vector<std::byte> Builder::finish(std::uint32_t root) const {
  Header header;
  header.node_count = static_cast<std::uint32_t>(nodes_.size());
  header.list_count = static_cast<std::uint32_t>(lists_.size());
  header.string_count = static_cast<std::uint32_t>(strings_.size());
  header.root = root;
  for (const std::string& s : strings_) {
    header.string_bytes += static_cast<std::uint32_t>(s.size());
  }
  std::vector<std::byte> out;
  append(out, header);
  for (const Node& node : nodes_) append(out, node);
  for (const std::uint32_t entry : lists_) append(out, entry);
  std::uint32_t offset = 0;
  for (const std::string& s : strings_) {
    append(out, StringEntry{offset, static_cast<std::uint32_t>(s.size())});
    offset += static_cast<std::uint32_t>(s.size());
  }
  for (const std::string& s : strings_) {
    const Bytes bytes = as_bytes(s);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

Result<std::vector<std::byte>> Parser::run() {
  THAW_TRY(root, statements({}));
  for (const auto& [name, line] : called_) {
    if (!macros_.contains(name)) {
      return error_at(Code::kUnsupported, line, cat("the function '", name, "'"));
    }
  }
  return builder_.finish(root);
}

bool Parser::take_op(std::string_view text) {
  if (!is_op(text)) return false;
  advance();
  return true;
}

bool Parser::take_word(std::string_view text) {
  if (!is_word(text)) return false;
  advance();
  return true;
}

Result<Done> Parser::expect_op(std::string_view text) {
  if (!take_op(text)) return unexpected(cat("'", text, "'"));
  return Done{};
}

Error Parser::unexpected(std::string_view wanted) const {
  std::string found;
  switch (now().kind) {
    case TokenKind::kData: found = "text"; break;
    case TokenKind::kOutputBegin: found = "'{{'"; break;
    case TokenKind::kOutputEnd: found = "'}}'"; break;
    case TokenKind::kBlockBegin: found = "'{%'"; break;
    case TokenKind::kBlockEnd: found = "'%}'"; break;
    case TokenKind::kString: found = "a string"; break;
    case TokenKind::kEnd: found = "the template's end"; break;
    case TokenKind::kName:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
    case TokenKind::kOperator: found = cat("'", now().text.substr(0, 64), "'"); break;
  }
  return error_at(Code::kInvalid, line(), cat("found ", found, ", wanted ", wanted));
}

Error Parser::unsupported(std::string_view what) const {
  return error_at(Code::kUnsupported, line(), what);
}

Result<Parser::Index> Parser::add(Kind kind, std::uint32_t line, Node fields, const Indexes& list) {
  fields.kind = kind;
  fields.line = line;
  return builder_.add(fields, list);
}

Result<Parser::Index> Parser::string_node(std::string_view text, std::uint32_t line) {
  return add(Kind::kString, line, {.a = builder_.string(text)});
}

}  // namespace thaw::text::jinja
