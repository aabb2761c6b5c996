#include "handler/text/thinking.h"

#include <algorithm>
#include <utility>

namespace thaw::text {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void drop_leading_space(std::string& text) {
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
}

std::string_view without_trailing_space(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// How many bytes at the end of `text` may yet become `tag`.
std::size_t hopeful(std::string_view text, std::string_view tag) {
  std::size_t count = std::min(text.size(), tag.size() - 1);
  while (count > 0 && !text.ends_with(tag.substr(0, count))) --count;
  return count;
}

void add(std::vector<ThinkingSplitter::Part>& parts, std::string text, bool reasoning) {
  if (!text.empty()) parts.push_back({std::move(text), reasoning});
}

}  // namespace

std::vector<ThinkingSplitter::Part> ThinkingSplitter::push(std::string_view text) {
  std::vector<Part> parts;
  held_ += text;
  if (state_ == State::kUndecided || state_ == State::kOpened) begin();
  if (state_ == State::kThinking) think(parts);
  if (state_ == State::kBetween) {
    drop_leading_space(held_);
    if (!held_.empty()) state_ = State::kAnswer;
  }
  if (state_ == State::kAnswer) add(parts, std::exchange(held_, {}), false);
  return parts;
}

void ThinkingSplitter::begin() {
  const std::size_t first = held_.find_first_not_of(kSpace);
  if (first == std::string::npos) return;
  const std::string_view rest = std::string_view(held_).substr(first);
  if (rest.starts_with(kThinkBegin)) {
    held_.erase(0, first + kThinkBegin.size());
    state_ = State::kThinking;
  } else if (!kThinkBegin.starts_with(rest)) {
    state_ = state_ == State::kOpened ? State::kThinking : State::kAnswer;
  }
}

void ThinkingSplitter::think(std::vector<Part>& parts) {
  if (!has_thought_) drop_leading_space(held_);
  const std::size_t end = held_.find(kThinkEnd);
  if (end != std::string::npos) {
    add(parts, std::string(without_trailing_space(std::string_view(held_).substr(0, end))), true);
    held_.erase(0, end + kThinkEnd.size());
    state_ = State::kBetween;
    return;
  }
  // White space may turn out to be the last before the tag.
  const std::string_view sure =
      std::string_view(held_).substr(0, held_.size() - hopeful(held_, kThinkEnd));
  const std::size_t count = without_trailing_space(sure).size();
  add(parts, held_.substr(0, count), true);
  has_thought_ = has_thought_ || count > 0;
  held_.erase(0, count);
}

std::vector<ThinkingSplitter::Part> ThinkingSplitter::finish() {
  std::vector<Part> parts;
  std::string rest = std::exchange(held_, {});
  if (is_thinking()) {
    if (!has_thought_) drop_leading_space(rest);
    add(parts, std::string(without_trailing_space(rest)), true);
  } else if (state_ != State::kBetween) {
    add(parts, std::move(rest), false);
  }
  return parts;
}

}  // namespace thaw::text
