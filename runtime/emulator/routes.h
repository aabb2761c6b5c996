// The APIs of API Gateway in front of functions: stages, routes, and which of them a request means.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace thaw::emulator {

// Of a method ("GET", "ANY") and a path: "/items/{id}", "/{proxy+}", or "$default" for all else.
struct Route {
  std::string method, path, function;
};

struct Api {
  enum class Kind : unsigned char { kHttp, kRest };
  Kind kind = Kind::kHttp;
  std::string name;   // letters, digits, '-', '_'
  std::string stage;  // "$default" has no part of the path
  std::vector<Route> routes;
};

struct RouteMatch {
  const Route* route = nullptr;
  std::vector<std::pair<std::string, std::string>> path_parameters;  // decoded
};

// The most specific route: literal segments before {one}, {one} before {rest+}, a method before
// ANY, all before $default. `path` is as sent, without the stage.
std::optional<RouteMatch> match(const Api& api, std::string_view method, std::string_view path);

// Errors: kInvalid: a name, a method or a path that API Gateway would not take.
Result<Done> check(const Api& api);

}  // namespace thaw::emulator
