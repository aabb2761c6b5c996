#include "runtime/deployment/fields.h"

#include <charconv>

#include "base/str.h"

namespace thaw::deployment {

constexpr std::size_t kShownBytesMax = 300;

const Node* Node::find(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kShownBytesMax));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  if (text.size() > kShownBytesMax) line += "...";
  return line;
}

Error error_at(std::string_view name, const Node& node, std::string_view what) {
  return fail(Code::kInvalid, cat("template '", name, "': line ", node.place.line, ", column ",
                                  node.place.column, ": ", one_line(what)));
}

const Node* Fields::find(std::string_view key) const {
  const Node* found = node_ == nullptr ? nullptr : node_->find(key);
  return found == nullptr || found->kind == Node::Kind::kNull ? nullptr : found;
}

Result<std::optional<std::string>> Fields::text(std::string_view key) const {
  const Node* found = find(key);
  if (found == nullptr) return std::optional<std::string>{};
  if (!found->is_text()) return error_at(name_, *found, cat(key, ": want a text"));
  return std::optional<std::string>{found->text};
}

Result<std::optional<std::uint32_t>> Fields::number(std::string_view key, std::uint32_t min,
                                                    std::uint32_t max) const {
  const Node* found = find(key);
  if (found == nullptr) return std::optional<std::uint32_t>{};
  std::uint32_t value = 0;
  const char* end = found->text.data() + found->text.size();
  const auto parsed = std::from_chars(found->text.data(), end, value);
  if (!found->is_text() || parsed.ec != std::errc() || parsed.ptr != end || value < min ||
      value > max) {
    return error_at(name_, *found, cat(key, ": want a whole number from ", min, " to ", max));
  }
  return std::optional<std::uint32_t>{value};
}

Result<std::optional<bool>> Fields::flag(std::string_view key) const {
  const Node* found = find(key);
  if (found == nullptr) return std::optional<bool>{};
  for (const std::string_view yes : {"true", "True", "TRUE", "yes", "on"}) {
    if (found->text == yes) return std::optional<bool>{true};
  }
  for (const std::string_view no : {"false", "False", "FALSE", "no", "off"}) {
    if (found->text == no) return std::optional<bool>{false};
  }
  return error_at(name_, *found, cat(key, ": want true or false"));
}

Result<std::vector<std::string>> Fields::texts(std::string_view key) const {
  std::vector<std::string> all;
  const Node* found = find(key);
  if (found == nullptr) return all;
  if (found->is_text()) return std::vector<std::string>{found->text};
  for (const Node& item : found->items) {
    if (!item.is_text()) return error_at(name_, item, cat(key, ": want texts"));
    all.push_back(item.text);
  }
  if (found->is_map()) return error_at(name_, *found, cat(key, ": want a list of texts"));
  return all;
}

Result<Fields> Fields::map(std::string_view key) const {
  const Node* found = find(key);
  if (found == nullptr) return Fields(name_, nullptr);
  if (!found->is_map()) return error_at(name_, *found, cat(key, ": want a map"));
  return Fields(name_, found);
}

}  // namespace thaw::deployment
