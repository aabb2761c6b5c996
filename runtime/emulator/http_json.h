// What events of HTTP and the answers to them have in common. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/emulator/function_url.h"

namespace thaw::emulator {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json);  // bytes that are no UTF-8 become U+FFFD
bool is_utf8(std::string_view text);
// Whether gateways hand bodies of this type over as text, not as base64.
bool is_text_type(std::string_view content_type);
std::string_view trimmed(std::string_view text);  // of spaces
std::string url_id(std::string_view name);        // 32 letters and digits, always the same

// Calls each(part) for the parts of `text` between `at`s.
template <class Each>
void split(std::string_view text, char at, const Each& each) {
  while (!text.empty()) {
    const std::size_t end = text.find(at);
    each(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
}

// Calls each(name, value) for the pairs of a query, as sent.
template <class Each>
void split_query(std::string_view query, const Each& each) {
  split(query, '&', [&](std::string_view pair) {
    if (pair.empty()) return;
    const std::size_t equals = pair.find('=');
    each(pair.substr(0, equals), equals == pair.npos ? "" : pair.substr(equals + 1));
  });
}

void join(Json& object, const std::string& name, std::string_view value);  // "a,b"

// Sets "body" and "isBase64Encoded". `empty`: what stands for no body.
void put_body(Json& event, std::string_view body, bool is_text, const Json& empty);

// Which of an answer's fields a front takes headers from.
struct HeadFields {
  bool single = true, multi = true, cookies = true;
};
// Status and headers of an answer. Errors: kInvalid.
Result<UrlHead> head_of(const Json& json, const HeadFields& fields = {});
// An answer's body, decoded. Errors: kInvalid.
Result<std::string> body_of(const Json& json);

Error bad_answer(std::string_view what);

}  // namespace thaw::emulator
