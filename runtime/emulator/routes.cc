#include "runtime/emulator/routes.h"

#include <algorithm>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

constexpr std::string_view kDefault = "$default";
constexpr std::size_t kRoutesMax = 1000;
constexpr std::size_t kSegmentsMax = 64;

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (!segment.empty() || slash != path.npos) segments.push_back(segment);
    path = slash == path.npos ? std::string_view() : path.substr(slash);
  }
  return segments;
}

bool is_greedy(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with("+}");
}
bool is_parameter(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

// How well a route fits: a digit a segment (3 literal, 2 parameter, 1 rest), then one for the
// method; the greatest in the order of strings wins. Nothing: it doesn't fit.
struct Fit {
  std::string rank;
  RouteMatch match;
};

std::optional<Fit> fit(const Route& route, std::string_view method, std::string_view path) {
  if (route.method != method && route.method != "ANY") return std::nullopt;
  const char of_method = route.method == "ANY" ? '0' : '1';
  if (route.path == kDefault) return Fit{"", {&route, {}}};
  Fit found{"", {&route, {}}};
  const auto wanted = segments_of(route.path);
  const auto given = segments_of(path);
  std::size_t at = 0;
  for (const std::string_view segment : wanted) {
    if (is_greedy(segment)) {
      if (at >= given.size()) return std::nullopt;
      const char* begin = given[at].data();
      const std::string_view rest(begin, static_cast<std::size_t>(path.end() - begin));
      found.match.path_parameters.emplace_back(segment.substr(1, segment.size() - 3),
                                               percent_decode(rest, false));
      found.rank += '1';
      at = given.size();
      continue;
    }
    if (at >= given.size()) return std::nullopt;
    if (is_parameter(segment)) {
      if (given[at].empty()) return std::nullopt;
      found.match.path_parameters.emplace_back(segment.substr(1, segment.size() - 2),
                                               percent_decode(given[at], false));
      found.rank += '2';
    } else {
      if (segment != given[at]) return std::nullopt;
      found.rank += '3';
    }
    ++at;
  }
  if (at != given.size()) return std::nullopt;
  // A route of "/" has no segment, and still more than $default.
  found.rank += of_method == '1' ? "01" : "00";
  return found;
}

}  // namespace

std::optional<RouteMatch> match(const Api& api, std::string_view method, std::string_view path) {
  std::optional<Fit> best;
  for (const Route& route : api.routes) {
    auto found = fit(route, method, path);
    if (found && (!best || found->rank > best->rank)) best = std::move(found);
  }
  if (!best) return std::nullopt;
  return std::move(best->match);
}

Result<Done> check(const Api& api) {
  const auto refused = [&](std::string_view what) {
    return fail(Code::kInvalid, cat("API '", api.name.substr(0, 100), "': ", what));
  };
  const auto is_word = [](std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_';
    });
  };
  if (!is_word(api.name)) return refused("want a name of letters, digits, '-' and '_'");
  const bool no_stage = api.kind == Api::Kind::kHttp && api.stage == kDefault;
  if (!no_stage && !is_word(api.stage)) return refused("want a stage of letters, digits, '_'");
  if (api.routes.size() > kRoutesMax) return refused(cat("more than ", kRoutesMax, " routes"));
  for (const Route& route : api.routes) {
    if (!is_word(route.method)) return refused("a route's method is no word");
    if (route.path == kDefault) continue;
    const auto segments = segments_of(route.path);
    if (!route.path.starts_with('/') || segments.size() > kSegmentsMax) {
      return refused("a route's path begins with '/' and has at most 64 parts");
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (is_greedy(segments[i]) && i + 1 != segments.size()) {
        return refused(cat("route '", route.path.substr(0, 100), "': {name+} must come last"));
      }
    }
  }
  return Done{};
}

}  // namespace thaw::emulator
