#include "runtime/cli/progress.h"

#include <cstdio>
#include <string>

#include "base/str.h"

namespace thaw::cli {

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", context_.err);
}

void Progress::show(std::string_view what, std::uint64_t done, std::uint64_t total,
                    std::string_view much) {
  if (!context_.shows_progress || total == 0) return;
  constexpr std::uint64_t kWidth = 40;
  const auto filled = static_cast<std::size_t>(done * kWidth / total);
  std::fprintf(context_.err, "\r\033[K%s",
               cat(what, " [", std::string(filled, '#'), std::string(kWidth - filled, '.'), "] ",
                   much)
                   .c_str());
  std::fflush(context_.err);
  shown_ = true;
}

}  // namespace thaw::cli
