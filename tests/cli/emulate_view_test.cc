#include "runtime/cli/emulate_view.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/random.h"

namespace thaw::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

emulator::LedgerEntry entry(const std::string& function, emulator::Ending ending) {
  emulator::LedgerEntry one;
  one.function = function;
  one.request_id = "r";
  one.ending = ending;
  one.cold = true;
  one.waited = 2ms;
  one.duration = 34500us;
  one.billed_ms = 37;
  one.memory_mb = 1024;
  one.peak_mb = 103;
  one.timing = "prefill;dur=12.3";
  return one;
}

View sample(std::size_t functions) {
  View view;
  view.at = "http://127.0.0.1:9000";
  view.up = 3723s;
  emulator::Ledger ledger;
  for (std::size_t i = 0; i < functions; ++i) {
    emulator::FunctionState state;
    state.name = "function-" + std::to_string(i);
    state.now.idle = 1;
    state.instances.push_back({i + 1, "frozen", 4242, 103u << 20});
    view.functions.push_back(state);
    ledger.add(entry(state.name, emulator::Ending::kAnswered));
    ledger.add(entry(state.name, emulator::Ending::kThrottled));
  }
  view.totals = ledger.totals();
  view.recent = ledger.recent(50);
  for (int i = 0; i < 60; ++i) view.log.push_back("[f] line " + std::to_string(i));
  return view;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

TEST(View, ShowsFunctionsInstancesInvocationsAndTheLog) {
  const std::string all = joined(draw(sample(2), 120, 40));
  EXPECT_THAT(all, HasSubstr("http://127.0.0.1:9000  up 01:02:03  $"));
  EXPECT_THAT(all, HasSubstr("> function-0"));
  EXPECT_THAT(all, HasSubstr("  function-1"));
  EXPECT_THAT(all, HasSubstr("frozen   pid 4242"));
  EXPECT_THAT(all, HasSubstr("34.5ms     37ms   103MB  prefill;dur=12.3"));
  EXPECT_THAT(all, HasSubstr("throttled"));
  EXPECT_THAT(all, HasSubstr("[f] line 59\n")) << "the newest line is the last";
}

TEST(View, FitsAnySize) {
  Random random(5);
  for (const std::size_t functions : {1, 3, 40}) {
    View view = sample(functions);
    for (int i = 0; i < 300; ++i) {
      view.selected = random.below(functions);
      const std::size_t width = 20 + random.below(200), height = random.below(70);
      const auto lines = draw(view, width, height);
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) EXPECT_LE(line.size(), width);
      if (height >= 8) {
        EXPECT_THAT(joined(lines), HasSubstr("> function-" + std::to_string(view.selected)))
            << width << " x " << height;
      }
    }
  }
}

TEST(View, LetsNothingThroughThatMovesACursor) {
  View view = sample(1);
  view.log.push_back(
      "a\x1b[2J\r\n\t\x07 gr\xC3\xBC\xC3\x9F"
      "e");
  for (const std::string& line : draw(view, 100, 50)) {
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= 32 && c < 127; }))
        << line;
  }
  EXPECT_THAT(joined(draw(view, 100, 50)), HasSubstr("gr??e"));
}

TEST(Keys, AreFoundInWhatIsTyped) {
  EXPECT_EQ(keys_in("\x1b[A\x1bOBcfkq"), (std::vector<Key>{Key::kUp, Key::kDown, Key::kCold,
                                                           Key::kHold, Key::kKill, Key::kQuit}));
  EXPECT_EQ(keys_in("uj"), (std::vector<Key>{Key::kUp, Key::kDown}));
  EXPECT_TRUE(keys_in("\x1b[C xyz\x1b").empty());
}

// A terminal of our own.
class ScreenTest : public testing::Test {
 protected:
  ScreenTest() {
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    ::grantpt(master_);
    ::unlockpt(master_);
    slave_ = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
  }
  ~ScreenTest() override {
    ::close(slave_);
    ::close(master_);
  }
  std::string shown() {
    std::string all(1 << 20, '\0');
    const ssize_t got = ::read(master_, all.data(), all.size());
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
  }
  termios settings() {
    termios now{};
    ::tcgetattr(slave_, &now);
    return now;
  }
  int master_ = -1, slave_ = -1;
};

TEST_F(ScreenTest, TakesKeysAndLeavesTheTerminalAsItWas) {
  const termios before = settings();
  {
    const auto screen = Screen::open(slave_, slave_);
    ASSERT_NE(screen, nullptr);
    EXPECT_EQ(settings().c_lflag & (ICANON | ECHO), 0u);
    EXPECT_NE(settings().c_lflag & ISIG, 0u) << "Ctrl-C must still end it";
    EXPECT_EQ(screen->typed(), "");
    ASSERT_EQ(::write(master_, "cq", 2), 2);
    std::string typed;
    for (int i = 0; i < 1000 && typed.size() < 2; ++i) {
      typed += screen->typed();
      ::usleep(1000);
    }
    EXPECT_EQ(typed, "cq");
    shown();
  }
  const termios after = settings();
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_cc[VMIN], before.c_cc[VMIN]);
  EXPECT_THAT(shown(), HasSubstr("\x1b[?25h")) << "the cursor is back";
}

TEST_F(ScreenTest, DrawsWithinTheTerminalsSize) {
  winsize size{};
  size.ws_col = 60;
  size.ws_row = 10;
  ASSERT_EQ(::ioctl(slave_, TIOCSWINSZ, &size), 0);
  const auto screen = Screen::open(slave_, slave_);
  ASSERT_NE(screen, nullptr);
  shown();
  screen->show(sample(3));
  const std::string frame = shown();
  EXPECT_TRUE(frame.starts_with("\x1b[H"));
  EXPECT_EQ(std::count(frame.begin(), frame.end(), '\n'), 9);
  std::size_t column = 0, widest = 0;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    if (frame[i] == '\x1b') {
      i = frame.find_first_of("HKJ", i);
    } else if (frame[i] == '\r' || frame[i] == '\n') {
      column = 0;
    } else {
      widest = std::max(widest, ++column);
    }
  }
  EXPECT_LE(widest, 59u);
}

TEST_F(ScreenTest, IsNoneWhereThereIsNoTerminal) {
  const int nothing = ::open("/dev/null", O_RDWR);
  EXPECT_EQ(Screen::open(nothing, slave_), nullptr);
  EXPECT_EQ(Screen::open(slave_, nothing), nullptr);
  ::close(nothing);
}

}  // namespace
}  // namespace thaw::cli
