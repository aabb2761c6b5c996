// How far long work has come: a bar on a terminal, nothing elsewhere.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/cli/commands.h"

namespace thaw::cli {

// One thread at a time. The line is blanked when the object goes: before results are printed. The
// context outlives it.
class Progress {
 public:
  explicit Progress(const Context& context) : context_(context) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shows "what [####....] much". Nothing where there is nothing to do (total 0).
  void show(std::string_view what, std::uint64_t done, std::uint64_t total, std::string_view much);

 private:
  const Context& context_;
  bool shown_ = false;
};

}  // namespace thaw::cli
