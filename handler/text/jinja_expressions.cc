// The parser's expressions. Precedence, lowest first: if-else, or, and, not, comparisons, + -, ~,
// * / // %, unary, **, postfix, filters and tests.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>

#include "base/str.h"
#include "handler/text/jinja_parser.h"

namespace thaw::text::jinja {
namespace {

struct Operator {
  std::string_view text;
  Binary op;
  std::uint8_t level;
};
constexpr std::uint8_t kLevelOr = 0;
constexpr std::uint8_t kLevelAnd = 1;
constexpr std::uint8_t kLevelSum = 2;
constexpr std::uint8_t kLevelPower = 5;
constexpr Operator kOperators[] = {
    {"or", Binary::kOr, kLevelOr},  {"and", Binary::kAnd, kLevelAnd},
    {"+", Binary::kAdd, kLevelSum}, {"-", Binary::kSubtract, kLevelSum},
    {"~", Binary::kConcatenate, 3}, {"*", Binary::kMultiply, 4},
    {"/", Binary::kDivide, 4},      {"//", Binary::kFloorDivide, 4},
    {"%", Binary::kModulo, 4},      {"**", Binary::kPower, kLevelPower},
};

// What a loop's own variable offers; another attribute is refused when it is compiled.
constexpr std::string_view kLoopAttributes[] = {"index",  "index0",   "revindex", "revindex0",
                                                "first",  "last",     "length",   "depth",
                                                "depth0", "previtem", "nextitem"};

}  // namespace

Result<Parser::Index> Parser::expression() {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return nesting.error();
  THAW_TRY(first, chain(kLevelOr));
  Index value = first;
  while (is_word("if")) {
    const std::uint32_t begin = line();
    advance();
    THAW_TRY(condition, chain(kLevelOr));
    Index otherwise = kAbsent;
    if (take_word("else")) {
      THAW_TRY(other, expression());
      otherwise = other;
    }
    THAW_TRY(conditional,
             add(Kind::kConditional, begin, {.a = condition, .b = value, .c = otherwise}));
    value = conditional;
  }
  return value;
}

// One expression, or several with commas between them, which make a tuple.
Result<Parser::Index> Parser::tuple(bool with_condition, bool in_parentheses) {
  const std::uint32_t begin = line();
  Indexes items;
  bool is_tuple = false;
  for (;;) {
    if (in_parentheses && is_op(")")) break;
    if (!items.empty() &&
        (now().kind == TokenKind::kBlockEnd || now().kind == TokenKind::kOutputEnd)) {
      break;  // after a last comma
    }
    THAW_TRY(item, with_condition ? expression() : chain(kLevelOr));
    items.push_back(item);
    if (!take_op(",")) break;
    is_tuple = true;
  }
  if (items.size() == 1 && !is_tuple) return items.front();
  return add(Kind::kTuple, begin, {}, items);
}

// Left-associative operators from `level` up.
Result<Parser::Index> Parser::chain(std::uint8_t level) {
  const auto operand = [&]() -> Result<Index> {
    if (level == kLevelAnd) return negation();
    if (level == kLevelPower) return unary(true);
    return chain(static_cast<std::uint8_t>(level + 1));
  };
  THAW_TRY(first, operand());
  Index left = first;
  for (;;) {
    const auto found =
        std::find_if(std::begin(kOperators), std::end(kOperators),
                     [&](const Operator& o) { return o.level == level && o.text == now().text; });
    const TokenKind wanted = level <= kLevelAnd ? TokenKind::kName : TokenKind::kOperator;
    if (found == std::end(kOperators) || now().kind != wanted) return left;
    const std::uint32_t begin = line();
    advance();
    THAW_TRY(right, operand());
    if (found->op == Binary::kModulo && builder_.node(left).kind == Kind::kString) {
      if (const auto bad = unsupported_format(builder_.text(builder_.node(left).a))) {
        return error_at(Code::kUnsupported, begin, cat("the format '", *bad, "'"));
      }
    }
    Node fields{.op = static_cast<std::uint8_t>(found->op), .a = left, .b = right};
    THAW_TRY(joined, add(Kind::kBinary, begin, fields));
    left = joined;
  }
}

Result<Parser::Index> Parser::negation() {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return nesting.error();
  const std::uint32_t begin = line();
  if (!take_word("not")) return comparison();
  THAW_TRY(value, negation());
  return add(Kind::kNot, begin, {.a = value});
}

Result<Parser::Index> Parser::comparison() {
  static constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual},
  };
  const std::uint32_t begin = line();
  THAW_TRY(first, chain(kLevelSum));
  Indexes rest;
  for (;;) {
    std::optional<Comparison> op;
    if (now().kind == TokenKind::kOperator) {
      for (const auto& [text, known] : kComparisons) {
        if (now().text == text) op = known;
      }
      if (op) advance();
    } else if (take_word("in")) {
      op = Comparison::kIn;
    } else if (is_word("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
      advance();
      advance();
      op = Comparison::kNotIn;
    }
    if (!op) break;
    THAW_TRY(right, chain(kLevelSum));
    rest.insert(rest.end(), {static_cast<Index>(*op), right});
  }
  if (rest.empty()) return first;
  return add(Kind::kCompare, begin, {.a = first}, rest);
}

Result<Parser::Index> Parser::unary(bool with_filters) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return nesting.error();
  const std::uint32_t begin = line();
  Index value = kAbsent;
  if (is_op("-") || is_op("+")) {
    const Kind kind = is_op("-") ? Kind::kNegate : Kind::kPositive;
    advance();
    THAW_TRY(operand, unary(false));
    THAW_TRY(signed_value, add(kind, begin, {.a = operand}));
    value = signed_value;
  } else {
    THAW_TRY(operand, primary());
    value = operand;
  }
  THAW_TRY(whole, postfix(value));
  if (!with_filters) return whole;
  return filters_and_tests(whole);
}

Result<Parser::Index> Parser::primary() {
  const std::uint32_t begin = line();
  if (now().kind == TokenKind::kName) {
    const std::string name = now().text;
    if (name == "true" || name == "True") return advance(), add(Kind::kTrue, begin);
    if (name == "false" || name == "False") return advance(), add(Kind::kFalse, begin);
    if (name == "none" || name == "None") return advance(), add(Kind::kNone, begin);
    if (macros_open_ > 0 && (name == "caller" || name == "varargs" || name == "kwargs")) {
      return unsupported(cat("'", name, "' in a macro"));
    }
    if (name == "self" || name == "super") return unsupported(cat("'", name, "'"));
    THAW_TRY(index, assignable("a value"));
    return add(Kind::kName, begin, {.a = index});
  }
  if (now().kind == TokenKind::kString || now().kind == TokenKind::kInteger ||
      now().kind == TokenKind::kFloat) {
    return literal();
  }
  if (take_op("(")) {
    THAW_TRY(value, tuple(true, true));
    THAW_TRY_DO(expect_op(")"));
    return value;
  }
  if (is_op("[")) return list();
  if (is_op("{")) return dict();
  return unexpected("a value");
}

Result<Parser::Index> Parser::literal() {
  const std::uint32_t begin = line();
  std::string text = now().text;
  const TokenKind kind = now().kind;
  advance();
  if (kind == TokenKind::kString) {
    for (; now().kind == TokenKind::kString; advance()) text += now().text;
    return string_node(text, begin);
  }
  std::erase(text, '_');
  std::uint64_t bits = 0;
  if (kind == TokenKind::kFloat) {
    double value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec == std::errc::result_out_of_range) {
      return error_at(Code::kUnsupported, begin, "a number beyond 64 bits");
    }
    bits = std::bit_cast<std::uint64_t>(value);
  } else {
    const char prefix = text.size() > 1 ? static_cast<char>(text[1] | 0x20) : '\0';
    const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    std::int64_t value = 0;
    const char* first = text.data() + (base == 10 ? 0 : 2);
    const auto end = std::from_chars(first, text.data() + text.size(), value, base);
    if (end.ec == std::errc::result_out_of_range) {
      return error_at(Code::kUnsupported, begin, "a number beyond 64 bits");
    }
    const bool leading_zero = base == 10 && text.size() > 1 && text[0] == '0' &&
                              text.find_first_not_of('0') != std::string::npos;
    if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || leading_zero) {
      return error_at(Code::kInvalid, begin, "digits that are no number");
    }
    bits = static_cast<std::uint64_t>(value);
  }
  Node fields{.a = static_cast<std::uint32_t>(bits), .b = static_cast<std::uint32_t>(bits >> 32)};
  return add(kind == TokenKind::kFloat ? Kind::kFloat : Kind::kInteger, begin, fields);
}

Result<Parser::Index> Parser::list() {
  const std::uint32_t begin = line();
  advance();  // "["
  Indexes items;
  while (!is_op("]")) {
    THAW_TRY(item, expression());
    items.push_back(item);
    if (!take_op(",")) break;
  }
  THAW_TRY_DO(expect_op("]"));
  return add(Kind::kList, begin, {}, items);
}

Result<Parser::Index> Parser::dict() {
  const std::uint32_t begin = line();
  advance();  // "{"
  Indexes items;
  while (!is_op("}")) {
    THAW_TRY(key, expression());
    THAW_TRY_DO(expect_op(":"));
    THAW_TRY(value, expression());
    items.insert(items.end(), {key, value});
    if (!take_op(",")) break;
  }
  THAW_TRY_DO(expect_op("}"));
  return add(Kind::kDict, begin, {}, items);
}

Result<Parser::Index> Parser::postfix(Index value) {
  for (;;) {
    if (!is_op(".") && !is_op("[") && !is_op("(")) return value;
    THAW_TRY(next, is_op(".") ? dot(value) : is_op("[") ? subscript(value) : call(value));
    value = next;
  }
}

Result<Parser::Index> Parser::dot(Index value) {
  const std::uint32_t begin = line();
  advance();  // "."
  if (now().kind == TokenKind::kInteger) {
    THAW_TRY(index, literal());
    return add(Kind::kIndex, begin, {.a = value, .b = index});
  }
  if (now().kind != TokenKind::kName) return unexpected("an attribute's name");
  const std::string name = now().text;
  advance();
  if (is_op("(")) return method(value, name, begin);
  const Node& object = builder_.node(value);
  if (loops_ > 0 && object.kind == Kind::kName && builder_.text(object.a) == "loop" &&
      std::find(std::begin(kLoopAttributes), std::end(kLoopAttributes), name) ==
          std::end(kLoopAttributes)) {
    return error_at(Code::kUnsupported, begin, cat("'loop.", name, "'"));
  }
  return add(Kind::kAttribute, begin, {.a = value, .b = builder_.string(name)});
}

Result<Parser::Index> Parser::subscript(Index value) {
  const std::uint32_t begin = line();
  advance();  // "["
  Index parts[3] = {kAbsent, kAbsent, kAbsent};
  std::uint32_t colons = 0;
  while (!is_op("]")) {
    if (is_op(":") && colons < 2) {
      ++colons;
      advance();
      continue;
    }
    if (parts[colons] != kAbsent) break;
    THAW_TRY(part, expression());
    parts[colons] = part;
  }
  if (is_op(",")) return unsupported("several items in one '[...]'");
  THAW_TRY_DO(expect_op("]"));
  if (colons > 0) {
    return add(Kind::kSlice, begin, {.a = value, .b = parts[0], .c = parts[1], .d = parts[2]});
  }
  if (parts[0] == kAbsent) return unexpected("an item within '[]' before it");
  return add(Kind::kIndex, begin, {.a = value, .b = parts[0]});
}

Result<Parser::Index> Parser::filters_and_tests(Index value) {
  for (;;) {
    Result<Index> next = value;
    if (is_op("|"))
      next = (advance(), filter(value));
    else if (is_word("is"))
      next = test(value);
    else if (is_op("("))
      next = call(value);
    else
      return value;
    THAW_TRY(done, std::move(next));
    value = done;
  }
}

}  // namespace thaw::text::jinja
