#include "runtime/cli/emulate_view.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/str.h"
#include "runtime/cli/emulate_report.h"
#include "runtime/emulator/text.h"

namespace thaw::cli {
namespace {

using emulator::Ending;
using emulator::FunctionState;
using emulator::LedgerEntry;
using emulator::Totals;

constexpr std::size_t kWidthMin = 20, kWidthMax = 400, kHeightMax = 400;
constexpr std::size_t kNameWidth = 20;

// What a plain terminal shows in one cell each: other bytes could move its cursor.
std::string printable(std::string_view text, std::size_t width) {
  std::string out;
  for (const char c : text.substr(0, std::max(width, text.size()))) {
    if (out.size() == width) break;
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && byte < 0xC0) continue;  // within a character that has its '?'
    out.push_back(byte >= 0x20 && byte < 0x7F ? c : byte >= 0x80 ? '?' : ' ');
  }
  return out;
}

std::string left(std::string_view text, std::size_t width) {
  std::string out = printable(text, width);
  out.resize(width, ' ');
  return out;
}

std::string right(std::string_view text, std::size_t width) {
  const std::string out = printable(text, width);
  return std::string(width - out.size(), ' ') + out;
}

// Three digits that count, and no wider than 7: "0.42ms", "12.3ms", "1.23s".
std::string time_text(std::chrono::nanoseconds time) {
  const double ms = static_cast<double>(time.count()) / 1e6;
  char text[32];
  if (ms < 10) {
    std::snprintf(text, sizeof text, "%.2fms", ms);
  } else if (ms < 1000) {
    std::snprintf(text, sizeof text, "%.1fms", ms);
  } else {
    std::snprintf(text, sizeof text, "%.2fs", ms / 1e3);
  }
  return text;
}

std::string quantile_text(const cost::Quantiles& times, double share) {
  return times.count() == 0 ? "-" : time_text(times.at(share));
}

std::string function_row(const FunctionState& state, const Totals& totals, bool selected) {
  const std::uint64_t failed = totals.of(Ending::kFailed) + totals.of(Ending::kTimedOut);
  return cat(
      selected ? "> " : "  ", left(state.name, kNameWidth), right(cat(state.now.starting), 5),
      right(cat(state.now.leased), 5), right(cat(state.now.idle), 5),
      right(cat(state.now.waiting), 6), right(cat(totals.invocations), 8), right(cat(failed), 7),
      right(cat(totals.of(Ending::kThrottled)), 6), right(quantile_text(totals.cold_times, 0.5), 9),
      right(quantile_text(totals.warm_times, 0.5), 9),
      right(quantile_text(totals.warm_times, 0.95), 9), "  ", lambda_cost(totals).text(),
      state.held ? "  held" : "");
}

std::string recent_row(const LedgerEntry& record) {
  const bool ran = record.ran();
  return cat("  ", emulator::iso_time(record.at).substr(11, 12), " ",
             left(record.function, kNameWidth),
             left(!ran          ? ""
                  : record.cold ? "cold"
                                : "warm",
                  6),
             left(name_of(record.ending), 12), right(time_text(record.waited), 9),
             right(ran ? time_text(record.latency) : "", 9),
             right(ran ? time_text(record.duration) : "", 9),
             right(ran ? cat(record.billed_ms, "ms") : "", 9),
             right(ran ? cat(record.peak_mb, "MB") : "", 8), "  ",
             record.error_type.empty() ? record.timing : record.error_type);
}

// Lines of a screen, as long as there is room.
class Lines {
 public:
  Lines(std::size_t width, std::size_t height) : width_(width), height_(height) {}
  std::size_t room() const { return height_ - lines_.size(); }
  void add(std::string_view line) {
    if (room() > 0) lines_.push_back(printable(line, width_));
  }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  const std::size_t width_, height_;
  std::vector<std::string> lines_;
};

void add_functions(Lines& lines, const View& view, std::size_t room) {
  if (room < 2) return;
  lines.add(
      "  function              init  busy  idle queued   calls failed   429  cold p50 warm p50"
      "      p95  cost");
  const std::size_t shown = std::min(room - 1, view.functions.size());
  // The selected one stays in sight.
  const std::size_t first = view.selected < shown ? 0 : view.selected - shown + 1;
  for (std::size_t i = first; i < first + shown; ++i) {
    const FunctionState& state = view.functions[i];
    const auto totals = view.totals.find(state.name);
    lines.add(function_row(state, totals == view.totals.end() ? Totals{} : totals->second,
                           i == view.selected));
  }
}

void add_instances(Lines& lines, const View& view, std::size_t room) {
  if (room < 2 || view.functions.empty()) return;
  const auto& instances = view.functions[view.selected].instances;
  lines.add(cat("instances of ", view.functions[view.selected].name, ": ", instances.size()));
  for (std::size_t i = 0; i < std::min(room - 1, instances.size()); ++i) {
    const auto& one = instances[i];
    lines.add(cat("  #", left(cat(one.id), 7), left(one.state, 9), "pid ", left(cat(one.pid), 9),
                  right(cat((one.peak_bytes + (1 << 20) - 1) >> 20), 6), " MB"));
  }
}

}  // namespace

std::vector<std::string> draw(const View& view, std::size_t width, std::size_t height) {
  Lines lines(std::clamp(width, kWidthMin, kWidthMax), std::min(height, kHeightMax));
  cost::Money money;
  for (const auto& [name, totals] : view.totals) money += lambda_cost(totals);
  const auto up = view.up.count();
  char clock[32];
  std::snprintf(clock, sizeof clock, "%02d:%02d:%02d", static_cast<int>(up / 3600 % 1000),
                static_cast<int>(up / 60 % 60), static_cast<int>(up % 60));
  lines.add(cat("thaw emulate  ", view.at, "  up ", clock, "  ", money.text()));
  lines.add("up, down: choose  c: cold start  f: freeze, go on  k: kill  q: end");
  // Half of what is left for functions and instances, a third for invocations, the rest for the
  // log.
  const std::size_t rest = lines.room();
  const std::size_t functions =
      std::min(view.functions.size() + 1, std::max<std::size_t>(rest / 3, 2));
  add_functions(lines, view, std::min(functions, lines.room()));
  add_instances(lines, view, std::min(rest / 5, lines.room()));
  const std::size_t invocations = std::min(view.recent.size() + 1, lines.room() * 3 / 5);
  if (invocations >= 2) {
    lines.add(
        "  invocation   function            start ended         waited    first    whole"
        "   billed  memory");
    for (std::size_t i = 0; i + 1 < invocations; ++i) lines.add(recent_row(view.recent[i]));
  }
  const std::size_t log = std::min(lines.room(), view.log.size());
  for (std::size_t i = view.log.size() - log; i < view.log.size(); ++i) lines.add(view.log[i]);
  return lines.take();
}

std::vector<Key> keys_in(std::string_view typed) {
  std::vector<Key> keys;
  for (std::size_t i = 0; i < typed.size(); ++i) {
    const bool arrow =
        typed[i] == '\x1b' && i + 2 < typed.size() && (typed[i + 1] == '[' || typed[i + 1] == 'O');
    if (arrow) {
      if (typed[i + 2] == 'A') keys.push_back(Key::kUp);
      if (typed[i + 2] == 'B') keys.push_back(Key::kDown);
      i += 2;
      continue;
    }
    switch (typed[i]) {
      case 'u': keys.push_back(Key::kUp); break;
      case 'j': keys.push_back(Key::kDown); break;
      case 'c': keys.push_back(Key::kCold); break;
      case 'f': keys.push_back(Key::kHold); break;
      case 'k': keys.push_back(Key::kKill); break;
      case 'q': keys.push_back(Key::kQuit); break;
      default: break;
    }
  }
  return keys;
}

std::unique_ptr<Screen> Screen::open(int in, int out) {
  termios before{};
  if (::isatty(out) != 1 || ::tcgetattr(in, &before) != 0) return nullptr;
  termios raw = before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // Ctrl-C still makes its signal
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (::tcsetattr(in, TCSADRAIN, &raw) != 0) return nullptr;
  std::unique_ptr<Screen> screen(new Screen(in, out, before));
  screen->write("\x1b[H\x1b[J\x1b[?25l");
  return screen;
}

Screen::~Screen() {
  write("\x1b[H\x1b[J\x1b[?25h");
  ::tcsetattr(in_, TCSADRAIN, &before_);
}

void Screen::write(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t written = ::write(out_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd wait{out_, POLLOUT, 0};
      ::poll(&wait, 1, 100);
      continue;
    }
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Screen::show(const View& view) {
  winsize size{};
  if (::ioctl(out_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    size.ws_col = 80;  // a VT100's
    size.ws_row = 24;
  }
  // The last column stays free: a character there may or may not move the cursor on.
  const auto lines = draw(view, std::max<std::size_t>(size.ws_col, 2) - 1, size.ws_row);
  std::string frame = "\x1b[H";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    frame += cat(i == 0 ? "" : "\r\n", lines[i].substr(0, size.ws_col - 1), "\x1b[K");
  }
  write(frame + "\x1b[J");
}

std::string Screen::typed() {
  std::array<char, 256> buffer;
  pollfd wait{in_, POLLIN, 0};
  if (::poll(&wait, 1, 0) <= 0) return {};
  const ssize_t got = ::read(in_, buffer.data(), buffer.size());
  return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
}

}  // namespace thaw::cli
