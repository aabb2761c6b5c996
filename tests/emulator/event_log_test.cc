#include "runtime/emulator/event_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/faulty_files.h"
#include "base/random.h"

namespace thaw::emulator {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class EventLogTest : public testing::Test {
 protected:
  EventLogTest() {
    // In memory where there is such a place: thousands of syncs cost nothing there.
    const fs::path shared = "/dev/shm";
    const fs::path where = fs::is_directory(shared) ? shared : fs::temp_directory_path();
    std::string name = (where / "thaw-queue-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/events.log";
  }
  ~EventLogTest() override { fs::remove_all(directory_); }

  static AcceptedEvent event(const std::string& name, std::size_t bytes = 20) {
    AcceptedEvent event;
    event.function = "chat";
    event.qualifier = "PROD";
    event.request_id = name;
    event.trace_id = "Root=1";
    event.client_context = R"({"a":1})";
    event.event = std::string(bytes, 'e') + name;
    event.accepted = Clock::Wall(1'000'000s + 250ms);
    return event;
  }
  Result<EventLog::Opened> open() { return open(system_files(), system_state_files()); }
  Result<EventLog::Opened> open(Files& files, StateFiles& state_files) {
    return EventLog::open(directory_, files, state_files);
  }
  // The names of what has not ended, as a new start finds it.
  std::vector<std::string> found(std::size_t notes = 0) {
    const auto opened = open();
    EXPECT_TRUE(opened) << opened.error().message;
    std::vector<std::string> names;
    if (!opened) return names;
    EXPECT_EQ(opened->notes.size(), notes);
    for (const LiveEvent& live : opened->events) {
      EXPECT_EQ(live.event->event, std::string(20, 'e') + live.event->request_id);
      names.push_back(live.event->request_id);
    }
    return names;
  }
  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(std::string_view bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  using Names = std::vector<std::string>;

  std::string directory_, path_;
};

TEST_F(EventLogTest, KeepsAllOfAnEventUntilItHasEnded) {
  {
    const auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(opened->events.empty());
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(opened->log->accept(event(name)));
    EXPECT_EQ(opened->log->size(), 3u);
    ASSERT_TRUE(opened->log->note_end(2));
    ASSERT_TRUE(opened->log->note_attempt(3, {2, Clock::Wall(2'000'000s)}));
  }
  const auto opened = open();
  ASSERT_TRUE(opened);
  ASSERT_EQ(opened->events.size(), 2u);
  const AcceptedEvent wanted = event("c");
  const LiveEvent& live = opened->events[1];
  EXPECT_EQ(live.sequence, 3u);
  EXPECT_EQ(live.event->function, wanted.function);
  EXPECT_EQ(live.event->qualifier, wanted.qualifier);
  EXPECT_EQ(live.event->request_id, wanted.request_id);
  EXPECT_EQ(live.event->trace_id, wanted.trace_id);
  EXPECT_EQ(live.event->client_context, wanted.client_context);
  EXPECT_EQ(live.event->event, wanted.event);
  EXPECT_EQ(live.event->accepted, wanted.accepted);
  EXPECT_EQ(live.progress.attempts, 2u);
  EXPECT_EQ(live.progress.due, Clock::Wall(2'000'000s));
  EXPECT_EQ(opened->log->accept(event("d"))->sequence, 4u) << "no number is used twice";
}

TEST_F(EventLogTest, IsForOneProcessAtATime) {
  const auto first = open();
  ASSERT_TRUE(first);
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_NE(second.error().message.find("--state"), std::string::npos);
}

TEST_F(EventLogTest, SaysWhatToDoWhereItsDirectoryCannotBe) {
  std::ofstream(directory_ + "/file") << "x";
  const auto opened =
      EventLog::open(directory_ + "/file/below", system_files(), system_state_files());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("--state"), std::string::npos);
}

TEST_F(EventLogTest, DropsWhatIsCutShortAtEveryLength) {
  {
    const auto opened = open();
    for (const char* name : {"a", "b"}) ASSERT_TRUE(opened->log->accept(event(name)));
  }
  const std::string whole = contents();
  std::size_t second = whole.rfind("QREC");
  for (std::size_t bytes = second; bytes < whole.size(); ++bytes) {
    write(whole.substr(0, bytes));
    EXPECT_EQ(found(bytes == second ? 0 : 1), Names{"a"}) << bytes;
    EXPECT_EQ(found(), Names{"a"}) << "it was rewritten without the tail";
  }
}

TEST_F(EventLogTest, SkipsADamagedRecordWhereverTheDamageIs) {
  {
    const auto opened = open();
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(opened->log->accept(event(name)));
  }
  const std::string whole = contents();
  const std::size_t second = whole.find("QREC", whole.find("QREC") + 1);
  const std::size_t third = whole.rfind("QREC");
  for (std::size_t at = second; at < third; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    write(damaged);
    EXPECT_EQ(found(1), (Names{"a", "c"})) << at;
  }
}

TEST_F(EventLogTest, RefusesFilesThatAreNoneOfItsOwn) {
  const auto refused = [&](std::string_view bytes, Code code) {
    write(bytes);
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    EXPECT_EQ(contents(), bytes) << "and leaves them as they are";
  };
  refused("", Code::kCorrupt);
  refused("a text that somebody has here", Code::kCorrupt);
  refused(std::string("THWQ\2\0\0\0\0\0\0\0\0\0\0\0", 16), Code::kUnsupported);
}

TEST_F(EventLogTest, SurvivesRandomDamage) {
  {
    const auto opened = open();
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(opened->log->accept(event(std::to_string(i))));
  }
  const std::string whole = contents();
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    for (std::uint64_t i = random.below(4); i != ~std::uint64_t{0}; --i) {
      const auto at = 16 + static_cast<std::size_t>(random.below(damaged.size() - 16));
      const auto bytes = static_cast<std::size_t>(random.below(200));
      for (std::size_t k = at; k < std::min(at + bytes, damaged.size()); ++k) {
        damaged[k] = static_cast<char>(random.next());
      }
    }
    write(damaged);
    const auto opened = open();
    ASSERT_TRUE(opened) << opened.error().message;
    for (const LiveEvent& live : opened->events) {
      EXPECT_EQ(live.event->event, std::string(20, 'e') + live.event->request_id);
    }
  }
}

TEST_F(EventLogTest, IsRewrittenWhenMostOfItHasEnded) {
  const auto opened = open();
  std::uint64_t largest = 0;
  const auto kept = opened->log->accept(event("kept"));
  ASSERT_TRUE(kept);
  for (int i = 0; i < 60; ++i) {
    const auto live = opened->log->accept(event("x", 100'000));
    ASSERT_TRUE(live);
    ASSERT_TRUE(opened->log->note_end(live->sequence));
    largest = std::max(largest, opened->log->file_bytes());
  }
  EXPECT_LT(largest, 2'000'000u);
  EXPECT_EQ(opened->log->size(), 1u);
  ASSERT_TRUE(opened->log->accept(event("last")));
}

TEST_F(EventLogTest, HasLimits) {
  const auto opened = open();
  const auto large = opened->log->accept(event("large", EventLog::kRecordBytesMax));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kLimit);
  std::uint64_t taken = 0;
  while (opened->log->accept(event("x", 2'000'000))) ++taken;
  EXPECT_EQ(taken, EventLog::kLiveBytesMax / 2'000'513);
  const auto one_more = opened->log->accept(event("x", 2'000'000));
  EXPECT_EQ(one_more.error().code, Code::kLimit);
  EXPECT_EQ(opened->log->size(), taken);
}

TEST_F(EventLogTest, AcceptsFromManyThreadsAtOnce) {
  constexpr int kThreads = 8, kEach = 25;
  {
    const auto opened = open();
    std::vector<std::thread> threads;
    std::atomic<int> accepted{0};
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          const auto live = opened->log->accept(event(std::to_string(t * kEach + i)));
          accepted += live ? 1 : 0;
          if (live && i % 2 == 0) {
            EXPECT_TRUE(opened->log->note_end(live->sequence));
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(accepted, kThreads * kEach);
  }
  EXPECT_EQ(found().size(), std::size_t{kThreads * (kEach / 2)});
}

// Ten accepted events, some of which end, on files that fail at the k-th call: what was accepted
// and has not ended is there afterwards, and nothing that was refused.
TEST_F(EventLogTest, LosesNothingAndTakesNothingUntoldWhereverTheDiskFails) {
  for (const bool stays : {false, true}) {
    for (const bool torn : {false, true}) {
      std::uint64_t call = 1;
      for (;; ++call) {
        fs::remove_all(directory_);
        FaultyFiles files(system_files(), {.call = call, .only = {}, .stays = stays, .torn = torn});
        std::set<std::string> accepted, ended;
        bool healed = true;
        {
          const auto opened = open(files, files);
          for (int i = 0; opened && i < 10; ++i) {
            const std::string name = std::to_string(i);
            const auto live = opened->log->accept(event(name));
            if (live) accepted.insert(name);
            healed = live.has_value();
            if (live && i % 3 == 0) {
              ended.insert(name);
              (void)opened->log->note_end(live->sequence);
            }
            if (live && i % 3 == 1) {
              (void)opened->log->note_attempt(live->sequence, {1, Clock::Wall(5s)});
            }
          }
          if (opened && !stays && call < 20) {
            EXPECT_TRUE(healed) << "a fault that is over refuses nobody; call " << call;
          }
        }
        if (!files.fault_happened()) break;
        const auto opened = open();
        ASSERT_TRUE(opened) << opened.error().message << " after a fault at call " << call;
        std::set<std::string> there;
        for (const LiveEvent& live : opened->events) there.insert(live.event->request_id);
        for (const std::string& name : accepted) {
          if (ended.contains(name)) continue;
          EXPECT_TRUE(there.contains(name)) << name << " was accepted; call " << call;
        }
        std::size_t refused = 0;
        for (const std::string& name : there) refused += accepted.contains(name) ? 0 : 1;
        // A disk on which nothing works any more cannot take back what it had half taken.
        EXPECT_LE(refused, stays ? 1u : 0u) << "call " << call;
      }
      EXPECT_GT(call, 20u);
    }
  }
}

}  // namespace
}  // namespace thaw::emulator
