// Tokens to tree. One use: parse_template() makes a Parser and takes its bytes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "handler/text/jinja_ast.h"
#include "handler/text/jinja_builtins.h"
#include "handler/text/jinja_lexer.h"

namespace thaw::text::jinja {

// Collects nodes, lists and strings (each once), and writes them out.
class Builder {
 public:
  std::uint32_t string(std::string_view text);
  // The node's list is `list`. Errors: kLimit (deeper than kDepthMax).
  Result<std::uint32_t> add(Node node, const std::vector<std::uint32_t>& list = {});
  const Node& node(std::uint32_t index) const { return nodes_[index]; }
  std::uint32_t entry(const Node& of, std::uint32_t index) const { return lists_[of.list + index]; }
  std::string_view text(std::uint32_t string) const { return strings_[string]; }
  std::vector<std::byte> finish(std::uint32_t root) const;

 private:
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> depths_;  // by node
  std::vector<std::uint32_t> lists_;
  std::vector<std::string> strings_;
  std::map<std::string, std::uint32_t, std::less<>> string_indexes_;
};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Result<std::vector<std::byte>> run();

 private:
  using Index = std::uint32_t;
  using Indexes = std::vector<Index>;
  struct Argument {
    Index keyword = kAbsent;  // string
    Index value = 0;
  };
  using Arguments = std::vector<Argument>;
  class Nesting;  // counts how deep the parser itself has gone

  // Statements (jinja_statements.cc).
  Result<Index> statements(std::initializer_list<std::string_view> ends);
  Result<Index> statement();
  Result<Index> block(std::string_view name, std::uint32_t line);
  Result<Index> if_block(std::uint32_t line);
  Result<Index> for_block(std::uint32_t line);
  Result<Index> set_block(std::uint32_t line);
  Result<Index> set_capture(std::uint32_t line, Index name);
  Result<Index> macro_block(std::uint32_t line);
  Result<Index> filter_block(std::uint32_t line);
  Result<Index> with_block(std::uint32_t line);
  Result<Index> generation_block(std::uint32_t line);
  Result<Index> scoped_body(std::string_view end);
  Result<Index> assignable(std::string_view what);
  Result<Done> end_block();

  // Expressions (jinja_expressions.cc).
  Result<Index> expression();  // with `if ... else`
  Result<Index> tuple(bool with_condition, bool in_parentheses);
  Result<Index> chain(std::uint8_t level);
  Result<Index> negation();
  Result<Index> comparison();
  Result<Index> unary(bool with_filters);
  Result<Index> primary();
  Result<Index> literal();
  Result<Index> list();
  Result<Index> dict();
  Result<Index> postfix(Index value);
  Result<Index> dot(Index value);
  Result<Index> subscript(Index value);
  Result<Index> filters_and_tests(Index value);
  Result<Index> filter(Index value);
  Result<Index> filters(Index value);
  Result<Index> test(Index value);
  Result<Index> call(Index callee);
  Result<Index> method(Index object, std::string_view name, std::uint32_t line);
  Result<Arguments> arguments();
  Result<Indexes> bind(const Signature& signature, const Arguments& given, std::string_view what,
                       std::uint32_t line);
  Result<Done> check_names(const Signature& signature, const Indexes& bound, std::uint32_t line);

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + (at_ + 1 < tokens_.size() ? 1 : 0)]; }
  std::uint32_t line() const { return now().line; }
  void advance() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
  bool is(TokenKind kind, std::string_view text) const {
    return now().kind == kind && now().text == text;
  }
  bool is_op(std::string_view text) const { return is(TokenKind::kOperator, text); }
  bool is_word(std::string_view text) const { return is(TokenKind::kName, text); }
  bool take_op(std::string_view text);
  bool take_word(std::string_view text);
  Result<Done> expect_op(std::string_view text);
  Error unexpected(std::string_view wanted) const;
  Error unsupported(std::string_view what) const;
  Result<Index> add(Kind kind, std::uint32_t line, Node fields = {}, const Indexes& list = {});
  Result<Index> string_node(std::string_view text, std::uint32_t line);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Builder builder_;
  std::uint32_t depth_ = 0;   // of the parser's own recursion
  std::uint32_t loops_ = 0;   // open `for` blocks
  std::uint32_t scopes_ = 0;  // open blocks with names of their own
  std::uint32_t macros_open_ = 0;
  std::set<std::string, std::less<>> macros_;
  std::map<std::string, std::uint32_t, std::less<>> called_;  // names to be macros; line
};

// Bounds the parser's recursion: one lives in each function that may call itself again.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.depth_; }
  ~Nesting() { --parser_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  bool too_deep() const { return parser_.depth_ > kDepthMax; }
  Error error() const {
    return error_at(Code::kLimit, parser_.line(),
                    "nested deeper than 200, the limit; take the template apart");
  }

 private:
  Parser& parser_;
};

}  // namespace thaw::text::jinja
