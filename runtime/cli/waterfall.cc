#include "runtime/cli/waterfall.h"

#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "runtime/cli/table.h"

namespace thaw::cli {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kNameColumns = 12;
constexpr std::size_t kTimeColumns = 10;

double seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

std::string padded(std::string text, std::size_t columns, bool right) {
  const std::string space(columns - std::min(columns, text.size()), ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string waterfall(const handler::Generation& done, std::size_t columns) {
  const handler::StartTimes* start = done.start ? &*done.start : nullptr;
  const handler::GenerationPhases& phases = done.phases;
  const nanoseconds whole = start != nullptr ? phases.since_start : phases.first_token;
  std::string out;
  const auto line = [&](std::string_view name, nanoseconds time, nanoseconds from) {
    const double unit = seconds(whole) > 0 ? static_cast<double>(columns) / seconds(whole) : 0;
    const auto column = [&](nanoseconds at) {
      const double exact = std::round(std::max(0.0, seconds(at)) * unit);
      return std::min(columns, static_cast<std::size_t>(exact));
    };
    const std::size_t begin = std::min(column(from), columns - 1);
    const std::size_t bars =
        std::max<std::size_t>(1, column(from + time) - std::min(begin, column(from + time)));
    out +=
        cat("  ", padded(std::string(name), kNameColumns, false),
            padded(milliseconds(seconds(time)), kTimeColumns, true), "  ", std::string(begin, ' '));
    for (std::size_t i = 0; i < std::min(bars, columns - begin); ++i) out += "\u2588";
    out += '\n';
  };
  nanoseconds at{0};
  for (const handler::Phase& phase : handler::phases_of(phases, start)) {
    if (phase.name == "tokenise") at = whole - phases.first_token;
    if (phase.name == "first_token" || phase.name == "decode" || phase.name == "since_start") break;
    if (phase.time.count() == 0) continue;
    line(phase.name, phase.time, at);
    if (phase.name != "read") at += phase.time;  // reading is part of the prefill
  }
  const char* const from = start == nullptr       ? "from the prompt"
                           : start->from_launcher ? "from the launcher's stamp"
                                                  : "from the first instruction";
  return out + cat("  ", padded("first token", kNameColumns, false),
                   padded(milliseconds(seconds(whole)), kTimeColumns, true), "  ", from, '\n');
}

}  // namespace thaw::cli
