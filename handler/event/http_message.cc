#include "handler/event/http_message.h"

#include "handler/event/encoding.h"

namespace thaw::event {

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (auto at = headers.rbegin(); at != headers.rend(); ++at) {
    if (equal_ignoring_case(at->first, name)) return at->second;
  }
  return std::nullopt;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Unknown";
  }
}

}  // namespace thaw::event
