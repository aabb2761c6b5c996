// Parts what a thinking model says to itself, between <think> and </think>, from its answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace thaw::text {

inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";

// A model thinks at the beginning of its answer or not at all: tags further on are text. White
// space around what was thought, and before the answer behind it, is dropped. How the text is cut
// into pieces changes nothing. One thread at a time.
class ThinkingSplitter {
 public:
  struct Part {
    std::string text;
    bool reasoning = false;
  };

  // `open`: the prompt ends with <think> already, as templates of some models do.
  explicit ThinkingSplitter(bool open) : state_(open ? State::kOpened : State::kUndecided) {}

  // What is certain now; thought before answer, neither empty.
  std::vector<Part> push(std::string_view text);
  // The end of the sequence: what was held back.
  std::vector<Part> finish();
  bool is_thinking() const { return state_ == State::kOpened || state_ == State::kThinking; }

 private:
  enum class State : unsigned char {
    kUndecided,  // nothing but white space, or a part of <think>, so far
    kOpened,     // the same, behind a <think> of the prompt's
    kThinking,
    kBetween,  // white space behind </think>
    kAnswer,
  };

  void begin();
  void think(std::vector<Part>& parts);

  State state_;
  bool has_thought_ = false;  // some of it has been given out
  std::string held_;
};

}  // namespace thaw::text
