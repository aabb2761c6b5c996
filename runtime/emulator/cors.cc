#include "runtime/emulator/cors.h"

#include <algorithm>

#include "base/str.h"
#include "runtime/emulator/text.h"

namespace thaw::emulator {
namespace {

bool holds(const std::vector<std::string>& list, std::string_view one) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& each) {
    return each == "*" || http::same_name(each, one);
  });
}

std::string joined(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& each : list) text += cat(text.empty() ? "" : ",", each);
  return text;
}

}  // namespace

bool is_preflight(std::string_view method, const http::Fields& headers) {
  return method == "OPTIONS" && headers.has("Origin") &&
         headers.has("Access-Control-Request-Method");
}

bool is_cors_field(std::string_view name) {
  return lower_case(name).starts_with("access-control-");
}

http::Fields cors_fields(const Cors& cors, const http::Fields& headers, bool preflight) {
  http::Fields fields;
  const auto origin = headers.get("Origin");
  if (!origin || !holds(cors.origins, *origin)) return fields;
  // With credentials a browser takes no "*", so the origin itself is named.
  const bool any = holds(cors.origins, "*") && !cors.credentials;
  fields.add("Access-Control-Allow-Origin", any ? "*" : *origin);
  if (!any) fields.add("Vary", "Origin");
  if (cors.credentials) fields.add("Access-Control-Allow-Credentials", "true");
  if (!preflight) {
    if (!cors.exposed.empty()) {
      fields.add("Access-Control-Expose-Headers", joined(cors.exposed));
    }
    return fields;
  }
  const std::string_view method = headers.get("Access-Control-Request-Method").value_or("");
  if (holds(cors.methods, method)) {
    fields.add("Access-Control-Allow-Methods",
               cors.credentials && holds(cors.methods, "*") ? method : joined(cors.methods));
  }
  if (!cors.headers.empty()) {
    const auto asked = headers.get("Access-Control-Request-Headers");
    const bool all = holds(cors.headers, "*");
    fields.add("Access-Control-Allow-Headers",
               all && asked ? *asked : std::string_view(joined(cors.headers)));
  }
  if (cors.max_age_seconds) {
    fields.add("Access-Control-Max-Age", cat(*cors.max_age_seconds));
  }
  return fields;
}

}  // namespace thaw::emulator
