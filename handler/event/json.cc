#include "handler/event/json.h"

#include <charconv>
#include <cmath>
#include <string>

#include "base/str.h"
#include "handler/event/utf8.h"

namespace thaw::json {

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kAbsent: return "nothing";
    case Type::kNull: return "null";
    case Type::kBool: return "a boolean";
    case Type::kNumber: return "a number";
    case Type::kString: return "a string";
    case Type::kArray: return "an array";
    case Type::kObject: return "an object";
  }
  return "nothing";
}

Value Value::operator[](std::string_view key) const {
  Value found;
  if (!is_object()) return found;
  for (std::uint32_t index = node().first; index != 0; index = nodes_[index].next) {
    if (nodes_[index].key == key) found = Value(nodes_, index);
  }
  return found;
}

Value Value::at(std::size_t index) const {
  if (index >= size()) return {};
  std::uint32_t at = node().first;
  while (index-- > 0) at = nodes_[at].next;
  return {nodes_, at};
}

namespace {

// A number spelt with a fraction or an exponent may still be a whole one.
template <class Integer>
std::optional<Integer> whole(const Value& value, std::string_view text) {
  Integer number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec == std::errc() && end.ptr == text.data() + text.size()) return number;
  if (text.find_first_of(".eE") == std::string_view::npos) return std::nullopt;
  constexpr double kExact = 9007199254740992.0;  // 2^53: from there on doubles skip integers
  const std::optional<double> real = value.as_double();
  if (!real || std::abs(*real) >= kExact || std::trunc(*real) != *real) return std::nullopt;
  if (std::is_unsigned_v<Integer> && *real < 0) return std::nullopt;
  return static_cast<Integer>(*real);
}

}  // namespace

std::optional<std::int64_t> Value::as_int64() const {
  if (type() != Type::kNumber) return std::nullopt;
  return whole<std::int64_t>(*this, node().text);
}

std::optional<std::uint64_t> Value::as_uint64() const {
  if (type() != Type::kNumber) return std::nullopt;
  return whole<std::uint64_t>(*this, node().text);
}

std::optional<double> Value::as_double() const {
  if (type() != Type::kNumber) return std::nullopt;
  const std::string_view text = node().text;
  double number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec != std::errc()) return std::nullopt;
  return number;
}

// Reads a text value by value. The path from the root to the value being read is a bounded array,
// so that no text can exhaust the stack.
class Parser {
 public:
  Parser(std::string_view text, Document& document) : text_(text), document_(document) {}

  Result<Done> run() {
    if (text_.size() > kBytesMax) return limit("bytes", kBytesMax);
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;  // a byte order mark says nothing in UTF-8
    bool finished = false;
    while (!finished) {
      THAW_TRY_DO(begin_value());
      if (opened_) continue;
      THAW_TRY(done, after_value());
      finished = done;
    }
    return Done{};
  }

 private:
  struct Frame {
    std::uint32_t node;  // the open array or object
    std::uint32_t last;  // its last child so far; 0: none
  };

  // Structure may be shown; letters and digits may be somebody's prompt.
  Error wrong(std::string_view wanted) const {
    constexpr std::string_view kStructure = "{}[]:,\"'/";
    std::string found = "the end";
    if (at_ < text_.size()) {
      const bool shown = kStructure.find(text_[at_]) != std::string_view::npos;
      found = shown ? cat("\"", text_[at_], "\"") : "another character";
    }
    return fail(Code::kInvalid, cat("JSON: byte ", at_, ": found ", found, ", wanted ", wanted));
  }
  Error limit(std::string_view what, std::size_t most) const {
    return fail(Code::kLimit,
                cat("JSON: byte ", at_, ": more than ", most, " ", what, ", the limit; send less"));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // Reads a scalar whole, or an opening bracket: then opened_ is set, unless it closes at once.
  Result<Done> begin_value() {
    opened_ = false;
    skip_space();
    std::string_view key;
    if (depth_ > 0 && document_.nodes_[frames_[depth_ - 1].node].type == Type::kObject) {
      if (peek() != '"') return wrong("a key in quotes");
      THAW_TRY(name, string());
      key = name;
      skip_space();
      if (peek() != ':') return wrong("':'");
      ++at_;
      skip_space();
    }
    THAW_TRY(index, add(key));
    Node& node = document_.nodes_[index];
    switch (peek()) {
      case '{': return open(index, Type::kObject, '}');
      case '[': return open(index, Type::kArray, ']');
      case '"': {
        THAW_TRY(text, string());
        node.type = Type::kString;
        node.text = text;
        return Done{};
      }
      case 't': node.boolean = true; return literal(node, "true", Type::kBool);
      case 'f': return literal(node, "false", Type::kBool);
      case 'n': return literal(node, "null", Type::kNull);
      default: return number(node);
    }
  }

  // Closes what closes here. True when the text is read to its end.
  Result<bool> after_value() {
    while (true) {
      skip_space();
      if (depth_ == 0) {
        if (at_ < text_.size()) return wrong("the end");
        return true;
      }
      const bool object = document_.nodes_[frames_[depth_ - 1].node].type == Type::kObject;
      const char found = peek();
      if (found == ',') {
        ++at_;
        return false;
      }
      if (found != (object ? '}' : ']')) return wrong(object ? "',' or '}'" : "',' or ']'");
      ++at_;
      --depth_;
    }
  }

  Result<std::uint32_t> add(std::string_view key) {
    std::vector<Node>& nodes = document_.nodes_;
    if (nodes.size() >= kValuesMax) return limit("values", kValuesMax);
    const auto index = static_cast<std::uint32_t>(nodes.size());
    nodes.emplace_back();
    nodes.back().key = key;
    if (depth_ > 0) {
      Frame& parent = frames_[depth_ - 1];
      (parent.last == 0 ? nodes[parent.node].first : nodes[parent.last].next) = index;
      ++nodes[parent.node].count;
      parent.last = index;
    }
    return index;
  }

  Result<Done> open(std::uint32_t index, Type type, char closer) {
    document_.nodes_[index].type = type;
    ++at_;
    skip_space();
    if (peek() == closer && at_ < text_.size()) {
      ++at_;
      return Done{};
    }
    if (depth_ == kDepthMax) return limit("nested levels", kDepthMax);
    frames_[depth_++] = {index, 0};
    opened_ = true;
    return Done{};
  }

  Result<Done> literal(Node& node, std::string_view word, Type type) {
    if (text_.substr(at_, word.size()) != word) return wrong("a value");
    at_ += word.size();
    node.type = type;
    return Done{};
  }

  bool digits() {
    const std::size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }

  Result<Done> number(Node& node) {
    const std::size_t from = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return wrong(at_ > from ? "a digit" : "a value");
    }
    if (peek() == '.') {
      ++at_;
      if (!digits()) return wrong("a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return wrong("a digit");
    }
    node.type = Type::kNumber;
    node.text = text_.substr(from, at_ - from);
    return Done{};
  }

  // A string from its opening quote. Without escapes it is a view of the text.
  Result<std::string_view> string() {
    const std::size_t from = ++at_;
    while (at_ < text_.size()) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') return text_.substr(from, at_++ - from);
      if (byte == '\\') return escaped_string(from);
      if (byte < 0x20) return wrong("a control character's escape");
      if (byte < 0x80) {
        ++at_;
        continue;
      }
      const std::size_t length = event::utf8_length(text_.substr(at_, 4));
      if (length == 0) return wrong("UTF-8");
      at_ += length;
    }
    return wrong("a closing quote");
  }

  // Goes on from the first escape; decoded text is never longer than its spelling.
  Result<std::string_view> escaped_string(std::size_t from) {
    if (document_.decoded_ == nullptr) {
      document_.decoded_ = std::make_unique_for_overwrite<char[]>(text_.size());
    }
    const std::size_t begin = document_.decoded_bytes_;
    put(text_.substr(from, at_ - from));
    while (at_ < text_.size()) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return std::string_view(&document_.decoded_[begin], document_.decoded_bytes_ - begin);
      }
      if (byte == '\\') {
        THAW_TRY_DO(escape());
        continue;
      }
      if (byte < 0x20) return wrong("a control character's escape");
      const std::size_t length = byte < 0x80 ? 1 : event::utf8_length(text_.substr(at_, 4));
      if (length == 0) return wrong("UTF-8");
      put(text_.substr(at_, length));
      at_ += length;
    }
    return wrong("a closing quote");
  }

  void put(std::string_view piece) {
    piece.copy(&document_.decoded_[document_.decoded_bytes_], piece.size());
    document_.decoded_bytes_ += piece.size();
  }

  Result<Done> escape() {
    ++at_;  // the backslash
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char name = peek();
    if (name == 'u') return unicode_escape();
    const std::size_t which = at_ < text_.size() ? kNames.find(name) : std::string_view::npos;
    if (which == std::string_view::npos) return wrong("an escape: one of \"\\/bfnrtu");
    put(kMeanings.substr(which, 1));
    ++at_;
    return Done{};
  }

  // \uXXXX, or a pair of them for what lies above U+FFFF. A lone surrogate has no UTF-8.
  Result<Done> unicode_escape() {
    THAW_TRY(unit, hex4());
    char32_t scalar = unit;
    if (scalar >= 0xDC00 && scalar <= 0xDFFF) return wrong("a high surrogate before a low one");
    if (scalar >= 0xD800 && scalar <= 0xDBFF) {
      if (text_.substr(at_, 2) != "\\u") return wrong("the low surrogate of a pair");
      ++at_;
      THAW_TRY(low, hex4());
      if (low < 0xDC00 || low > 0xDFFF) return wrong("the low surrogate of a pair");
      scalar = 0x10000 + ((scalar - 0xD800) << 10) + (low - 0xDC00);
    }
    std::string spelt;
    event::append_utf8(spelt, scalar);
    put(spelt);
    return Done{};
  }

  // Reads 'u' and four hexadecimal digits.
  Result<char32_t> hex4() {
    unsigned value = 0;
    const std::string_view digits = text_.substr(at_ + 1, 4);
    const char* end = digits.data() + digits.size();
    const bool plain = digits.size() == 4 && digits[0] != '-' && digits[0] != '+';
    if (!plain || std::from_chars(digits.data(), end, value, 16).ptr != end) {
      return wrong("four hexadecimal digits");
    }
    at_ += 5;
    return static_cast<char32_t>(value);
  }

  std::string_view text_;
  Document& document_;
  std::size_t at_ = 0;
  Frame frames_[kDepthMax];
  std::size_t depth_ = 0;
  bool opened_ = false;
};

Result<Document> Document::parse(std::string_view text) {
  Document document;
  document.nodes_.reserve(256);  // a typical event in one allocation
  Parser parser(text, document);
  THAW_TRY_DO(parser.run());
  return document;
}

}  // namespace thaw::json
