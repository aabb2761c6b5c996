#include "handler/event/json_writer.h"

#include <charconv>
#include <cmath>

#include "handler/event/utf8.h"

namespace thaw::json {
namespace {

void append_escape(std::string& to, unsigned char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (byte) {
    case '"': to += "\\\""; return;
    case '\\': to += "\\\\"; return;
    case '\b': to += "\\b"; return;
    case '\f': to += "\\f"; return;
    case '\n': to += "\\n"; return;
    case '\r': to += "\\r"; return;
    case '\t': to += "\\t"; return;
    default:
      to += "\\u00";
      to += kHex[byte >> 4];
      to += kHex[byte & 15];
  }
}

}  // namespace

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  std::size_t plain = 0;  // bytes that can be copied as they are
  while (plain < text.size()) {
    const auto byte = static_cast<unsigned char>(text[plain]);
    if (byte < 0x80 ? byte >= 0x20 && byte != '"' && byte != '\\' : false) {
      ++plain;
      continue;
    }
    const std::size_t length = byte < 0x80 ? 0 : event::utf8_length(text.substr(plain));
    if (length > 0) {
      plain += length;
      continue;
    }
    to += text.substr(0, plain);
    if (byte < 0x80) {
      append_escape(to, byte);
    } else {
      event::append_utf8(to, 0xFFFD);
    }
    text.remove_prefix(plain + 1);
    plain = 0;
  }
  to += text;
  to += '"';
}

namespace {

// As deep as a Document is, which is bounded.
void append(Writer& writer, const Value& value) {
  switch (value.type()) {
    case Type::kAbsent:
    case Type::kNull: writer.null(); break;
    case Type::kBool: writer.value(value.is_true()); break;
    case Type::kNumber: writer.raw(value.number_text()); break;
    case Type::kString: writer.value(value.text()); break;
    case Type::kArray:
      writer.begin_array();
      for (const Value& element : value) append(writer, element);
      writer.end_array();
      break;
    case Type::kObject:
      writer.begin_object();
      for (const Value& member : value) {
        writer.key(member.key());
        append(writer, member);
      }
      writer.end_object();
      break;
  }
}

}  // namespace

std::string to_text(const Value& value) {
  std::string text;
  Writer writer(text);
  append(writer, value);
  return text;
}

void Writer::separate() {
  if (follows_) to_ += ',';
  follows_ = true;
}

Writer& Writer::key(std::string_view name) {
  separate();
  append_quoted(to_, name);
  to_ += ':';
  follows_ = false;
  return *this;
}

Writer& Writer::value(std::string_view text) {
  separate();
  append_quoted(to_, text);
  return *this;
}

Writer& Writer::value(double number) {
  if (!std::isfinite(number)) return null();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number);
  return bare({digits, static_cast<std::size_t>(end.ptr - digits)});
}

Writer& Writer::open(char bracket) {
  separate();
  to_ += bracket;
  follows_ = false;
  return *this;
}

Writer& Writer::close(char bracket) {
  to_ += bracket;
  follows_ = true;
  return *this;
}

Writer& Writer::bare(std::string_view word) {
  separate();
  to_ += word;
  return *this;
}

}  // namespace thaw::json
