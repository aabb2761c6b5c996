// Counts how deep an interpreter's evaluation has gone.
#pragma once

#include <cstdint>

#include "handler/text/jinja_interpreter.h"

namespace thaw::text::jinja {

class Interpreter::Level {
 public:
  explicit Level(std::uint32_t& level) : level_(level) { ++level_; }
  ~Level() { --level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  bool too_deep() const { return level_ > kStackMax; }

 private:
  std::uint32_t& level_;
};

}  // namespace thaw::text::jinja
