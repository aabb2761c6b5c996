// A request and an answer of HTTP, whatever carried them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thaw::event {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // as sent; methods are case-sensitive
  // The path, percent-decoded once, in each reading that the source allows, the likeliest first:
  // without the stage, what a greedy path variable caught, and as it came. The first that names a
  // route is meant.
  std::vector<std::string> paths;
  Pairs query;    // decoded, in order
  Pairs headers;  // names as sent; a name may come more than once
  std::string body;
  bool multi_value_headers = false;  // the source wants the answer's headers so (ALB)
  bool can_stream = true;  // false: no setting of the source lets an answer come in pieces

  // The last value of a header, names compared without case. Nothing where there is none.
  std::optional<std::string_view> header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  Pairs headers;
  std::string body;  // text, UTF-8
};

// "Bad Request" for 400; "Unknown" for what has no name here.
std::string_view reason_of(int status);

}  // namespace thaw::event
