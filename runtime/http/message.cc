#include "runtime/http/message.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/str.h"
#include "runtime/http/framing.h"

namespace thaw::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

void Fields::add(std::string_view name, std::string_view value) {
  fields_.push_back({std::string(name), std::string(value)});
}

std::optional<std::string_view> Fields::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (same_name(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::string_view reason_of(int status) {
  static constexpr std::pair<int, std::string_view> kReasons[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {413, "Payload Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Entity"},
      {424, "Failed Dependency"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [known, reason] : kReasons) {
    if (known == status) return reason;
  }
  return "Unknown";
}

bool is_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_target(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F;
  });
}

Result<Done> check_fields(const Fields& fields) {
  static constexpr std::string_view kOwn[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                              "Trailer"};
  for (const Field& field : fields) {
    if (!is_token(field.name)) return fail(Code::kInvalid, "send HTTP: a field's name is no token");
    for (const char c : field.value) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) {
        return fail(Code::kInvalid, cat("send HTTP: the field '", field.name.substr(0, 64),
                                        "' holds a control character"));
      }
    }
    for (const std::string_view own : kOwn) {
      if (same_name(field.name, own)) {
        return fail(Code::kInvalid,
                    cat("send HTTP: the field '", own, "' is set by the connection itself"));
      }
    }
  }
  return Done{};
}

void append_field(std::string& to, std::string_view name, std::string_view value) {
  to.append(name).append(": ").append(value).append("\r\n");
}

void append_fields(std::string& to, const Fields& fields) {
  for (const Field& field : fields) append_field(to, field.name, field.value);
}

void append_chunk(std::string& to, std::string_view part) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, part.size(), 16);
  to.append(digits, end.ptr).append("\r\n").append(part).append("\r\n");
}

}  // namespace thaw::http
