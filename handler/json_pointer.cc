#include "handler/json_pointer.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "handler/event/utf8.h"

namespace thaw::handler {
namespace {

// "~1" is a slash and "~0" a tilde.
std::string unescaped(std::string_view step) {
  std::string plain;
  for (std::size_t at = 0; at < step.size(); ++at) {
    if (step[at] == '~' && at + 1 < step.size()) {
      plain += step[++at] == '1' ? '/' : '~';
    } else {
      plain += step[at];
    }
  }
  return plain;
}

// An array's index has no sign and no leading zero.
json::Value element(const json::Value& array, std::string_view step) {
  std::size_t index = 0;
  const auto end = std::from_chars(step.data(), step.data() + step.size(), index);
  const bool whole = end.ec == std::errc() && end.ptr == step.data() + step.size();
  return whole && (step.size() == 1 || step.front() != '0') ? array.at(index) : json::Value();
}

}  // namespace

bool is_pointer(std::string_view text) {
  if (text.empty()) return true;
  if (text.front() != '/' || !event::is_utf8(text)) return false;
  for (std::size_t at = text.find('~'); at != std::string_view::npos; at = text.find('~', at + 1)) {
    if (at + 1 == text.size() || (text[at + 1] != '0' && text[at + 1] != '1')) return false;
  }
  return true;
}

json::Value find_pointer(json::Value root, std::string_view pointer) {
  while (root && pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    const std::string_view step = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(step.size());
    root = root.is_array() ? element(root, step) : root[unescaped(step)];
  }
  return root;
}

}  // namespace thaw::handler
