// The live view of an emulation on a terminal: what there is, as lines of any width and height, and
// the terminal that shows them. Knows no more of a terminal than a VT100 has.
#pragma once

#include <termios.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/fleet.h"
#include "runtime/emulator/ledger.h"

namespace thaw::cli {

struct View {
  std::string at;  // "http://127.0.0.1:9000"
  std::chrono::seconds up{};
  std::vector<emulator::FunctionState> functions;
  std::map<std::string, emulator::Totals> totals;
  std::vector<emulator::LedgerEntry> recent;  // the newest first
  std::vector<std::string> log;               // the newest last
  std::size_t selected = 0;                   // of `functions`
};

// At most `height` lines of at most `width` printable ASCII characters. What has no room is left
// out: the log first, then invocations, instances and functions far from the selected one.
std::vector<std::string> draw(const View& view, std::size_t width, std::size_t height);

enum class Key : unsigned char { kUp, kDown, kCold, kHold, kKill, kQuit };
// The keys in what was typed: arrows (ESC [ A, ESC O A) or j and u, c, f, k, q. Others are nothing.
std::vector<Key> keys_in(std::string_view typed);

// A terminal while it shows a view. One thread at a time.
class Screen {
 public:
  // Null where `in` or `out` is no terminal. Both outlive it.
  static std::unique_ptr<Screen> open(int in, int out);
  ~Screen();  // as it was before
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void show(const View& view);
  std::string typed();  // what was, since the last call; does not block
  int input() const { return in_; }

 private:
  Screen(int in, int out, const termios& before) : in_(in), out_(out), before_(before) {}
  void write(std::string_view text) const;

  const int in_, out_;
  const termios before_;
};

}  // namespace thaw::cli
