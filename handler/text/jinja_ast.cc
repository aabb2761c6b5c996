#include "handler/text/jinja_ast.h"

#include <algorithm>
#include <vector>

#include "base/str.h"
#include "handler/text/jinja_builtins.h"

namespace thaw::text::jinja {
namespace {

constexpr Role kU = Role::kUnused;
constexpr Role kR = Role::kRaw;
constexpr Role kN = Role::kNode;
constexpr Role kO = Role::kOptionalNode;
constexpr Role kS = Role::kString;
constexpr Role kP = Role::kOptionalString;

// By Kind.
constexpr Shape kShapes[] = {
    {kU, kU, kU, kU, {kN, kN}},  // kSequence
    {kS, kU, kU, kU, {kU, kU}},  // kData
    {kN, kU, kU, kU, {kU, kU}},  // kOutput
    {kO, kU, kU, kU, {kN, kN}},  // kIf
    {kN, kO, kN, kO, {kS, kS}},  // kFor
    {kN, kU, kU, kU, {kS, kS}},  // kSet
    {kS, kS, kN, kU, {kU, kU}},  // kSetAttribute
    {kS, kN, kU, kU, {kS, kO}},  // kMacro
    {kN, kU, kU, kU, {kS, kN}},  // kWith
    {kU, kU, kU, kU, {kU, kU}},  // kBreak
    {kU, kU, kU, kU, {kU, kU}},  // kContinue
    {kU, kU, kU, kU, {kU, kU}},  // kNone
    {kU, kU, kU, kU, {kU, kU}},  // kTrue
    {kU, kU, kU, kU, {kU, kU}},  // kFalse
    {kR, kR, kU, kU, {kU, kU}},  // kInteger
    {kR, kR, kU, kU, {kU, kU}},  // kFloat
    {kS, kU, kU, kU, {kU, kU}},  // kString
    {kS, kU, kU, kU, {kU, kU}},  // kName
    {kU, kU, kU, kU, {kN, kN}},  // kList
    {kU, kU, kU, kU, {kN, kN}},  // kTuple
    {kU, kU, kU, kU, {kN, kN}},  // kDict
    {kN, kS, kU, kU, {kU, kU}},  // kAttribute
    {kN, kN, kU, kU, {kU, kU}},  // kIndex
    {kN, kO, kO, kO, {kU, kU}},  // kSlice
    {kN, kU, kU, kU, {kU, kU}},  // kNot
    {kN, kU, kU, kU, {kU, kU}},  // kNegate
    {kN, kU, kU, kU, {kU, kU}},  // kPositive
    {kN, kN, kU, kU, {kU, kU}},  // kBinary
    {kN, kU, kU, kU, {kR, kN}},  // kCompare
    {kN, kN, kO, kU, {kU, kU}},  // kConditional
    {kS, kU, kU, kU, {kP, kN}},  // kCall
    {kN, kU, kU, kU, {kO, kO}},  // kMethod
    {kN, kU, kU, kU, {kO, kO}},  // kFilter
    {kN, kU, kU, kU, {kO, kO}},  // kTest
    {kN, kU, kU, kU, {kU, kU}},  // kCapture
};
static_assert(std::size(kShapes) == kKindCount);
static_assert(static_cast<std::uint8_t>(Kind::kCapture) + 1 == kKindCount);

Error corrupt(std::string_view what) {
  return fail(Code::kCorrupt, cat("open chat template: ", what, "; freeze the model anew"));
}

}  // namespace

const Shape& shape_of(Kind kind) { return kShapes[static_cast<std::uint8_t>(kind)]; }

Result<Ast> Ast::open(Bytes compiled) {
  if (compiled.size() < sizeof(Header)) return corrupt("shorter than its header");
  Ast ast;
  ast.header_ = load<Header>(compiled.data());
  const Header& header = ast.header_;
  if (header.magic != kMagic) return corrupt("not a compiled template");
  if (header.version != kVersion) {
    return fail(Code::kUnsupported,
                cat("open chat template: compiled as version ", header.version,
                    ", this build reads ", kVersion, "; freeze the model anew"));
  }
  const std::uint64_t nodes = std::uint64_t{header.node_count} * sizeof(Node);
  const std::uint64_t lists = std::uint64_t{header.list_count} * sizeof(std::uint32_t);
  const std::uint64_t strings = std::uint64_t{header.string_count} * sizeof(StringEntry);
  if (sizeof(Header) + nodes + lists + strings + header.string_bytes != compiled.size()) {
    return corrupt(cat(compiled.size(), " bytes, which its header contradicts"));
  }
  ast.nodes_ = compiled.data() + sizeof(Header);
  ast.lists_ = ast.nodes_ + nodes;
  ast.strings_ = ast.lists_ + lists;
  ast.characters_ = ast.strings_ + strings;
  THAW_TRY_DO(ast.check());
  return ast;
}

std::string_view Ast::string(std::uint32_t index) const {
  const auto entry = load<StringEntry>(strings_ + index * sizeof(StringEntry));
  return as_text({characters_ + entry.offset, entry.size});
}

std::uint32_t Ast::find_string(std::string_view text) const {
  for (std::uint32_t index = 0; index < header_.string_count; ++index) {
    if (string(index) == text) return index;
  }
  return kAbsent;
}

bool Ast::fits(Role role, std::uint32_t value, std::uint32_t below) const {
  switch (role) {
    case Role::kUnused:
    case Role::kRaw: return true;
    case Role::kNode: return value < below;
    case Role::kOptionalNode: return value == kAbsent || value < below;
    case Role::kString: return value < header_.string_count;
    case Role::kOptionalString: return value == kAbsent || value < header_.string_count;
  }
  return false;
}

// The depth of a node whose children were checked before.
Result<std::uint32_t> Ast::check_node(std::uint32_t index, const std::uint16_t* depths) const {
  const Node n = node(index);
  if (static_cast<std::uint8_t>(n.kind) >= kKindCount) return corrupt("an unknown kind of node");
  const Shape& shape = shape_of(n.kind);
  if (n.list > header_.list_count || n.count > header_.list_count - n.list) {
    return corrupt("a list out of bounds");
  }
  if (shape.list[0] != shape.list[1] && n.count % 2 != 0) return corrupt("a list of half pairs");
  if ((n.kind == Kind::kIf || n.kind == Kind::kDict) && n.count % 2 != 0) {
    return corrupt("a list of half pairs");
  }
  if (!check_arguments(n)) return corrupt("a call that fits no signature");
  std::uint32_t deepest = 0;
  const auto visit = [&](Role role, std::uint32_t value) {
    if (!fits(role, value, index)) return false;
    const bool child = role == Role::kNode || role == Role::kOptionalNode;
    if (child && value != kAbsent) deepest = std::max<std::uint32_t>(deepest, depths[value]);
    return true;
  };
  bool sound =
      visit(shape.a, n.a) && visit(shape.b, n.b) && visit(shape.c, n.c) && visit(shape.d, n.d);
  for (std::uint32_t i = 0; sound && i < n.count; ++i)
    sound = visit(shape.list[i % 2], entry(n, i));
  if (!sound) return corrupt("a node that refers to nothing");
  if (deepest >= kDepthMax) return corrupt("a tree that is too deep");
  return deepest + 1;
}

Result<Done> Ast::check() const {
  if (header_.root >= header_.node_count) return corrupt("no root");
  for (std::uint32_t index = 0; index < header_.string_count; ++index) {
    const auto entry = load<StringEntry>(strings_ + index * sizeof(StringEntry));
    if (entry.offset > header_.string_bytes || entry.size > header_.string_bytes - entry.offset) {
      return corrupt("a string out of bounds");
    }
  }
  std::vector<std::uint16_t> depths(header_.node_count);
  for (std::uint32_t index = 0; index < header_.node_count; ++index) {
    THAW_TRY(depth, check_node(index, depths.data()));
    depths[index] = static_cast<std::uint16_t>(depth);
  }
  return Done{};
}

}  // namespace thaw::text::jinja
