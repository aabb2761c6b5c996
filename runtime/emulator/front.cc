#include "runtime/emulator/front.h"

#include "base/str.h"
#include "runtime/emulator/aws_error.h"

namespace thaw::emulator {
namespace {

// "/2015-03-31/..." and its like: a path of AWS's API, never of a function URL.
bool is_api_path(std::string_view path) {
  constexpr std::string_view kPattern = "/dddd-dd-dd/";
  if (path.size() < kPattern.size()) return false;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const bool fits =
        kPattern[i] == 'd' ? path[i] >= '0' && path[i] <= '9' : path[i] == kPattern[i];
    if (!fits) return false;
  }
  return true;
}

std::string unknown_functions_text(const Fleet& fleet) {
  std::string text =
      "no function is named in the path; POST to /2015-03-31/functions/NAME/"
      "invocations, or call a function URL:";
  for (const auto& [name, function] : fleet.functions()) text += cat(" /url/", name, "/");
  return text;
}

}  // namespace

void Front::serve(http::Request& request, http::ResponseWriter& writer) {
  Call call{request, writer, ids_.request_id()};
  const std::string_view path = request.path();
  if (gateway_.serve(call)) return;
  if (is_api_path(path)) {
    if (invoke_.serve(call) || control_.serve(call)) return;
    return send_error(writer, kUnknownOperation, call.request_id,
                      cat(request.method(), " ", path.substr(0, 200),
                          ": not an operation of this emulator; its README lists them"));
  }
  if (fleet_.functions().size() == 1) {
    return gateway_.serve_url(call, fleet_.functions().begin()->second, path);
  }
  send_error(writer, kNotFound, call.request_id, unknown_functions_text(fleet_));
}

}  // namespace thaw::emulator
