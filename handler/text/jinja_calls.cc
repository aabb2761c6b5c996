// The parser's calls: functions, methods, filters and tests, their arguments bound to parameters.
#include <algorithm>

#include "base/str.h"
#include "handler/text/jinja_parser.h"

namespace thaw::text::jinja {

Result<Parser::Arguments> Parser::arguments() {
  THAW_TRY_DO(expect_op("("));
  Arguments given;
  bool keywords = false;
  while (!is_op(")")) {
    if (is_op("*") || is_op("**")) return unsupported("'*' before an argument");
    Argument argument;
    if (now().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator &&
        ahead().text == "=") {
      argument.keyword = builder_.string(now().text);
      keywords = true;
      advance();
      advance();
    } else if (keywords) {
      return unexpected("'keyword=', as an argument before has one");
    }
    THAW_TRY(value, expression());
    argument.value = value;
    given.push_back(argument);
    if (given.size() > kArgumentsMax) {
      return error_at(Code::kLimit, line(), cat("more than ", kArgumentsMax, " arguments"));
    }
    if (!take_op(",")) break;
  }
  THAW_TRY_DO(expect_op(")"));
  return given;
}

// The node of each parameter, or kAbsent.
Result<Parser::Indexes> Parser::bind(const Signature& signature, const Arguments& given,
                                     std::string_view what, std::uint32_t begin) {
  const std::string called = cat(what, " '", signature.name, "'");
  Indexes bound;
  if (!signature.takes_more) bound.assign(signature.count(), kAbsent);
  std::size_t position = 0;
  for (const Argument& argument : given) {
    if (signature.takes_more) {
      if (argument.keyword != kAbsent) {
        return error_at(Code::kUnsupported, begin, cat("a keyword given to ", called));
      }
      bound.push_back(argument.value);
      continue;
    }
    std::size_t slot = position++;
    if (argument.keyword != kAbsent) {
      const std::string_view keyword = builder_.text(argument.keyword);
      const auto* found = std::find(signature.parameters.begin(),
                                    signature.parameters.begin() + signature.count(), keyword);
      slot = static_cast<std::size_t>(found - signature.parameters.begin());
      if (slot >= bound.size()) {
        return error_at(Code::kUnsupported, begin, cat("'", keyword, "=' given to ", called));
      }
    }
    if (slot >= bound.size()) {
      return error_at(
          Code::kInvalid, begin,
          cat(given.size(), " arguments given to ", called, ", which takes ", bound.size()));
    }
    if (bound[slot] != kAbsent) {
      return error_at(Code::kInvalid, begin,
                      cat("'", signature.parameters[slot], "' given twice to ", called));
    }
    bound[slot] = argument.value;
  }
  for (std::size_t slot = 0; slot < signature.required; ++slot) {
    if (slot >= bound.size() || bound[slot] == kAbsent) {
      return error_at(Code::kInvalid, begin, cat("an argument is missing to ", called));
    }
  }
  return bound;
}

// Filters that take other filters or tests by name: a literal name is known now.
Result<Done> Parser::check_names(const Signature& signature, const Indexes& bound,
                                 std::uint32_t begin) {
  const auto op = static_cast<Filter>(signature.op);
  const bool by_attribute = op == Filter::kSelectattr || op == Filter::kRejectattr;
  const bool by_test = by_attribute || op == Filter::kSelect || op == Filter::kReject;
  const std::size_t slot = by_attribute ? 1 : 0;
  if ((!by_test && op != Filter::kMap) || slot >= bound.size()) return Done{};
  const Node& name = builder_.node(bound[slot]);
  if (name.kind != Kind::kString) return Done{};
  const std::string_view text = builder_.text(name.a);
  const auto found = jinja::find(by_test ? tests() : jinja::filters(), text);
  if (!found) {
    return error_at(Code::kUnsupported, begin,
                    cat(by_test ? "the test '" : "the filter '", text.substr(0, 64), "'"));
  }
  return Done{};
}

Result<Parser::Index> Parser::filters(Index value) {
  while (take_op("|")) {
    THAW_TRY(next, filter(value));
    value = next;
  }
  return value;
}

Result<Parser::Index> Parser::filter(Index value) {
  const std::uint32_t begin = line();
  if (now().kind != TokenKind::kName) return unexpected("a filter's name");
  std::string name = now().text;
  auto signature = jinja::find(jinja::filters(), name);
  if (!signature) return unsupported(cat("the filter '", name.substr(0, 64), "'"));
  advance();
  Arguments given;
  if (is_op("(")) {
    THAW_TRY(all, arguments());
    given = std::move(all);
  }
  if (name == "map" && !given.empty() && given.front().keyword != kAbsent) {
    signature = jinja::find(jinja::filters(), "map attribute");
  }
  THAW_TRY(bound, bind(*signature, given, "the filter", begin));
  THAW_TRY_DO(check_names(*signature, bound, begin));
  const Node& object = builder_.node(value);
  if (name == "format" && object.kind == Kind::kString) {
    if (const auto bad = unsupported_format(builder_.text(object.a))) {
      return error_at(Code::kUnsupported, begin, cat("the format '", *bad, "'"));
    }
  }
  return add(Kind::kFilter, begin, {.op = signature->op, .a = value}, bound);
}

Result<Parser::Index> Parser::test(Index value) {
  const std::uint32_t begin = line();
  advance();  // "is"
  const bool negated = take_word("not");
  if (now().kind != TokenKind::kName) return unexpected("a test's name");
  const std::string name = now().text;
  const auto signature = jinja::find(tests(), name);
  if (!signature) return unsupported(cat("the test '", name.substr(0, 64), "'"));
  advance();
  Arguments given;
  if (is_op("(")) {
    THAW_TRY(all, arguments());
    given = std::move(all);
  } else if (signature->required > 0) {  // "is divisibleby 3"
    THAW_TRY(first, primary());
    THAW_TRY(argument, postfix(first));
    given.push_back({kAbsent, argument});
  }
  THAW_TRY(bound, bind(*signature, given, "the test", begin));
  THAW_TRY(tested, add(Kind::kTest, begin, {.op = signature->op, .a = value}, bound));
  if (!negated) return tested;
  return add(Kind::kNot, begin, {.a = tested});
}

Result<Parser::Index> Parser::method(Index object, std::string_view name, std::uint32_t begin) {
  const auto signature = jinja::find(methods(), name);
  if (!signature) {
    return error_at(Code::kUnsupported, begin, cat("the method '", name.substr(0, 64), "'"));
  }
  THAW_TRY(given, arguments());
  THAW_TRY(bound, bind(*signature, given, "the method", begin));
  return add(Kind::kMethod, begin, {.op = signature->op, .a = object}, bound);
}

Result<Parser::Index> Parser::call(Index callee) {
  const std::uint32_t begin = line();
  const Node& function = builder_.node(callee);
  if (function.kind != Kind::kName) return unsupported("a call of what is not a name");
  const Index name = function.a;
  const std::string text(builder_.text(name));
  THAW_TRY(given, arguments());
  Indexes list;
  if (const auto signature = jinja::find(functions(), text)) {
    const auto op = static_cast<Function>(signature->op);
    if (given.size() < signature->required) {
      return error_at(Code::kInvalid, begin, cat("an argument is missing to '", text, "'"));
    }
    if (op == Function::kStrftimeNow && builder_.node(given.front().value).kind == Kind::kString) {
      const std::string_view format = builder_.text(builder_.node(given.front().value).a);
      if (const auto bad = unsupported_time_format(format)) {
        return error_at(Code::kUnsupported, begin, cat("the time format '", *bad, "'"));
      }
    }
    const bool takes_keywords = op == Function::kDict || op == Function::kNamespace;
    for (const Argument& argument : given) {
      if (argument.keyword != kAbsent && !takes_keywords) {
        return error_at(Code::kUnsupported, begin, cat("a keyword given to '", text, "'"));
      }
    }
  } else {
    called_.emplace(text, begin);
  }
  for (const Argument& argument : given) {
    list.insert(list.end(), {argument.keyword, argument.value});
  }
  return add(Kind::kCall, begin, {.a = name}, list);
}

}  // namespace thaw::text::jinja
