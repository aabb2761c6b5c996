// A function URL or an HTTP API: an HTTP request as an event (payload format 2.0), and an answer as
// HTTP. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/http/message.h"

namespace thaw::emulator {

struct UrlRequest {
  std::string_view method;
  std::string_view path;   // as sent, without the query; begins with '/'
  std::string_view query;  // as sent, without the '?'
  const http::Fields& headers;
  std::string_view body;
  std::string_view source_ip;
  std::string_view request_id;
  std::string_view trace_id;
  std::string_view region;
  std::string_view function;
  Clock::Wall now;
  // Of an HTTP API; a function URL has none of these.
  std::string_view api = {};  // its name
  std::string_view route_key = "$default";
  std::string_view stage = "$default";
  std::vector<std::pair<std::string, std::string>> path_parameters = {};
};

// Header names are lower case, values of a repeated one joined by ','; cookies stand apart; the
// body is base64 unless its type is text and it is UTF-8.
std::string url_event(const UrlRequest& request);

struct UrlHead {
  int status = 200;
  http::Fields headers;
};

struct UrlAnswer {
  UrlHead head;
  std::string body;
};

// What a function answered, as HTTP: an object with a statusCode says it all; any other JSON is a
// body with status 200. Errors: kInvalid (not an answer; the caller hears 502).
Result<UrlAnswer> url_answer(std::string_view answer);

// The prelude of a streamed HTTP answer, without its NULs. Errors: kInvalid.
Result<UrlHead> url_prelude(std::string_view prelude);

}  // namespace thaw::emulator
