// Writes JSON into a string, well-formed whatever the text in it: bytes that are no UTF-8 become
// U+FFFD, numbers that JSON lacks become null.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "handler/event/json.h"

namespace thaw::json {

// A value that was read, compact; numbers as they were written.
std::string to_text(const Value& value);

// Appends `text` in quotes.
void append_quoted(std::string& to, std::string_view text);

// Appends one value, compact, in the order of the calls. The caller keeps begin and end, keys and
// values in step. One thread at a time.
class Writer {
 public:
  explicit Writer(std::string& to) : to_(to) {}

  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);

  Writer& value(std::string_view text);
  Writer& value(const char* text) { return value(std::string_view(text)); }
  Writer& value(bool truth) { return bare(truth ? "true" : "false"); }
  Writer& value(double number);
  template <std::integral Number>
  Writer& value(Number number) {
    return bare(std::to_string(number));
  }
  Writer& null() { return bare("null"); }
  // A value that is JSON already, taken as it is.
  Writer& raw(std::string_view json) { return bare(json); }

  // key(name).value(value)
  template <class T>
  Writer& field(std::string_view name, const T& of) {
    key(name);
    return value(of);
  }

 private:
  Writer& open(char bracket);
  Writer& close(char bracket);
  Writer& bare(std::string_view word);
  void separate();

  std::string& to_;
  bool follows_ = false;  // a value stands before this place, so a comma comes first
};

}  // namespace thaw::json
