// The parser's statements.
#include <algorithm>

#include "base/str.h"
#include "handler/text/jinja_parser.h"

namespace thaw::text::jinja {

// Up to a block whose name is one of `ends` (left for the caller: its name is the current token),
// or to the template's end where `ends` is empty.
Result<Parser::Index> Parser::statements(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return nesting.error();
  const std::uint32_t begin = line();
  Indexes all;
  for (;;) {
    if (now().kind == TokenKind::kEnd) {
      if (ends.size() == 0) return add(Kind::kSequence, begin, {}, all);
      return unexpected(cat("'", *(ends.end() - 1), "' for the block of line ", begin));
    }
    if (now().kind == TokenKind::kBlockBegin) {
      const Token& name = ahead();
      if (std::find(ends.begin(), ends.end(), name.text) != ends.end() &&
          name.kind == TokenKind::kName) {
        advance();
        return add(Kind::kSequence, begin, {}, all);
      }
    }
    THAW_TRY(one, statement());
    all.push_back(one);
  }
}

Result<Parser::Index> Parser::statement() {
  const std::uint32_t begin = line();
  if (now().kind == TokenKind::kData) {
    const Index text = builder_.string(now().text);
    advance();
    return add(Kind::kData, begin, {.a = text});
  }
  if (now().kind == TokenKind::kOutputBegin) {
    advance();
    THAW_TRY(value, tuple(true, false));
    if (now().kind != TokenKind::kOutputEnd) return unexpected("'}}'");
    advance();
    return add(Kind::kOutput, begin, {.a = value});
  }
  advance();  // "{%"
  if (now().kind != TokenKind::kName) return unexpected("a block's name");
  const std::string name = now().text;
  return block(name, begin);
}

Result<Parser::Index> Parser::block(std::string_view name, std::uint32_t begin) {
  if (name.starts_with("end") || name == "else" || name == "elif") {
    return unexpected("a block that begins here: nothing is open that this could end");
  }
  using Parse = Result<Index> (Parser::*)(std::uint32_t);
  static constexpr std::pair<std::string_view, Parse> kBlocks[] = {
      {"if", &Parser::if_block},
      {"for", &Parser::for_block},
      {"set", &Parser::set_block},
      {"macro", &Parser::macro_block},
      {"filter", &Parser::filter_block},
      {"with", &Parser::with_block},
      {"generation", &Parser::generation_block},
  };
  for (const auto& [known, parse] : kBlocks) {
    if (name != known) continue;
    advance();
    return (this->*parse)(begin);
  }
  if (name == "break" || name == "continue") {
    if (loops_ == 0) return unexpected("a loop around it");
    advance();
    THAW_TRY_DO(end_block());
    return add(name == "break" ? Kind::kBreak : Kind::kContinue, begin);
  }
  return unsupported(cat("the block '", name.substr(0, 64), "'"));
}

Result<Done> Parser::end_block() {
  if (now().kind != TokenKind::kBlockEnd) return unexpected("'%}'");
  advance();
  return Done{};
}

Result<Parser::Index> Parser::if_block(std::uint32_t begin) {
  Indexes branches;
  Index otherwise = kAbsent;
  for (;;) {
    THAW_TRY(condition, tuple(true, false));
    THAW_TRY_DO(end_block());
    THAW_TRY(body, statements({"elif", "else", "endif"}));
    branches.insert(branches.end(), {condition, body});
    if (!take_word("elif")) break;
  }
  if (take_word("else")) {
    THAW_TRY_DO(end_block());
    THAW_TRY(body, statements({"endif"}));
    otherwise = body;
  }
  advance();  // "endif"
  THAW_TRY_DO(end_block());
  return add(Kind::kIf, begin, {.a = otherwise}, branches);
}

// A name that the template gives a value to.
Result<Parser::Index> Parser::assignable(std::string_view what) {
  if (now().kind != TokenKind::kName) return unexpected(what);
  static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False",
                                                   "None", "and",   "or",   "not",  "in",
                                                   "is",   "if",    "else"};
  for (const std::string_view reserved : kReserved) {
    if (now().text == reserved) return unexpected(what);
  }
  const Index name = builder_.string(now().text);
  advance();
  return name;
}

Result<Parser::Index> Parser::for_block(std::uint32_t begin) {
  Indexes names;
  const bool bracket = take_op("(");
  do {
    if (is_op("(")) return unsupported("names in brackets within a loop's names");
    THAW_TRY(name, assignable("a loop's name"));
    names.push_back(name);
  } while (take_op(",") && !is_word("in"));
  if (bracket) THAW_TRY_DO(expect_op(")"));
  if (!take_word("in")) return unexpected("'in'");
  THAW_TRY(iterable, tuple(false, false));
  Index filter = kAbsent;
  ++loops_;
  ++scopes_;
  if (take_word("if")) {
    THAW_TRY(condition, expression());
    filter = condition;
  }
  if (is_word("recursive")) return unsupported("a recursive loop");
  THAW_TRY_DO(end_block());
  THAW_TRY(body, statements({"else", "endfor"}));
  --loops_;
  Index otherwise = kAbsent;
  if (take_word("else")) {
    THAW_TRY_DO(end_block());
    THAW_TRY(last, statements({"endfor"}));
    otherwise = last;
  }
  --scopes_;
  advance();  // "endfor"
  THAW_TRY_DO(end_block());
  return add(Kind::kFor, begin, {.a = iterable, .b = filter, .c = body, .d = otherwise}, names);
}

Result<Parser::Index> Parser::set_block(std::uint32_t begin) {
  Indexes names;
  do {
    if (is_op("(")) return unsupported("names in brackets in 'set'");
    THAW_TRY(name, assignable("a name to set"));
    names.push_back(name);
    if (names.size() == 1 && take_op(".")) {
      if (now().kind != TokenKind::kName) return unexpected("an attribute's name");
      const Index attribute = builder_.string(now().text);
      advance();
      THAW_TRY_DO(expect_op("="));
      THAW_TRY(value, tuple(true, false));
      THAW_TRY_DO(end_block());
      return add(Kind::kSetAttribute, begin, {.a = name, .b = attribute, .c = value});
    }
  } while (take_op(",") && !is_op("="));
  if (names.size() == 1 && !is_op("=")) return set_capture(begin, names.front());
  THAW_TRY_DO(expect_op("="));
  THAW_TRY(value, tuple(true, false));
  THAW_TRY_DO(end_block());
  return add(Kind::kSet, begin, {.a = value}, names);
}

// {% set x %}...{% endset %}, perhaps with filters after the name. The filters come before the body
// in the source but after it in the tree: they are parsed twice, the first time to step over them.
Result<Parser::Index> Parser::set_capture(std::uint32_t begin, Index name) {
  const std::size_t filters_at = at_;
  while (now().kind != TokenKind::kBlockEnd && now().kind != TokenKind::kEnd) advance();
  const std::size_t filters_end = at_;
  THAW_TRY_DO(end_block());
  THAW_TRY(body, scoped_body("endset"));
  THAW_TRY(captured, add(Kind::kCapture, begin, {.a = body}));
  const std::size_t after = at_;
  at_ = filters_at;
  THAW_TRY(value, filters(captured));
  if (at_ != filters_end) return unexpected("'=', '|' or '%}'");
  at_ = after;
  return add(Kind::kSet, begin, {.a = value}, {name});
}

// A body with names of its own, and the block that ends it.
Result<Parser::Index> Parser::scoped_body(std::string_view end) {
  ++scopes_;
  THAW_TRY(body, statements({end}));
  --scopes_;
  advance();
  THAW_TRY_DO(end_block());
  return body;
}

Result<Parser::Index> Parser::macro_block(std::uint32_t begin) {
  if (scopes_ > 0) return unsupported("a macro inside another block than 'if'");
  THAW_TRY(name, assignable("a macro's name"));
  macros_.emplace(builder_.text(name));
  THAW_TRY_DO(expect_op("("));
  Indexes parameters;
  while (!is_op(")")) {
    if (is_op("*") || is_op("**")) return unsupported("'*' in a macro's parameters");
    THAW_TRY(parameter, assignable("a parameter's name"));
    Index value = kAbsent;
    if (take_op("=")) {
      THAW_TRY(given, expression());
      value = given;
    } else if (!parameters.empty() && parameters.back() != kAbsent) {
      return unexpected("a default, as the parameter before has one");
    }
    parameters.insert(parameters.end(), {parameter, value});
    if (!take_op(",")) break;
  }
  THAW_TRY_DO(expect_op(")"));
  THAW_TRY_DO(end_block());
  const std::uint32_t loops = std::exchange(loops_, 0);
  ++macros_open_;
  THAW_TRY(body, scoped_body("endmacro"));
  --macros_open_;
  loops_ = loops;
  return add(Kind::kMacro, begin, {.a = name, .b = body}, parameters);
}

Result<Parser::Index> Parser::filter_block(std::uint32_t begin) {
  // Stepped over and parsed again, as in set_capture; filter() wants its '|' or name to be next.
  const std::size_t filters_at = at_;
  while (now().kind != TokenKind::kBlockEnd && now().kind != TokenKind::kEnd) advance();
  const std::size_t filters_end = at_;
  THAW_TRY_DO(end_block());
  THAW_TRY(body, scoped_body("endfilter"));
  THAW_TRY(captured, add(Kind::kCapture, begin, {.a = body}));
  const std::size_t after = at_;
  at_ = filters_at;
  THAW_TRY(first, filter(captured));
  THAW_TRY(value, filters(first));
  if (at_ != filters_end) return unexpected("'|' or '%}'");
  at_ = after;
  return add(Kind::kOutput, begin, {.a = value});
}

Result<Parser::Index> Parser::with_block(std::uint32_t begin) {
  Indexes values;
  while (now().kind != TokenKind::kBlockEnd) {
    if (!values.empty()) THAW_TRY_DO(expect_op(","));
    THAW_TRY(name, assignable("a name to set"));
    THAW_TRY_DO(expect_op("="));
    THAW_TRY(value, expression());
    values.insert(values.end(), {name, value});
  }
  THAW_TRY_DO(end_block());
  THAW_TRY(body, scoped_body("endwith"));
  return add(Kind::kWith, begin, {.a = body}, values);
}

// {% generation %} marks what the assistant says, for training; it renders as its body.
Result<Parser::Index> Parser::generation_block(std::uint32_t begin) {
  THAW_TRY_DO(end_block());
  THAW_TRY(body, scoped_body("endgeneration"));
  return add(Kind::kWith, begin, {.a = body});
}

}  // namespace thaw::text::jinja
