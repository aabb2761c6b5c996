#include "base/log.h"

#include <gtest/gtest.h>

#include <regex>
#include <thread>
#include <vector>

#include "base/str.h"

namespace thaw {
namespace {

constexpr const char* kTime = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z";

template <class Act>
std::string shown_by(const Act& act) {
  testing::internal::CaptureStderr();
  act();
  return testing::internal::GetCapturedStderr();
}

void log_one_of_each() {
  log_debug("a");
  log_info("b");
  log_warn("c");
  log_error("d");
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Log, ParsesLevelsAndNamesThemToWhoeverMisspells) {
  EXPECT_EQ(*parse_log_level("debug"), LogLevel::kDebug);
  EXPECT_EQ(*parse_log_level("info"), LogLevel::kInfo);
  EXPECT_EQ(*parse_log_level("warn"), LogLevel::kWarn);
  EXPECT_EQ(*parse_log_level("error"), LogLevel::kError);
  EXPECT_EQ(*parse_log_level("off"), LogLevel::kOff);
  const auto wrong = parse_log_level("loud");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalid);
  EXPECT_EQ(wrong.error().message, "log level 'loud': wanted debug, info, warn, error or off");
}

TEST(Log, EachLevelShowsItselfAndWhatIsGraver) {
  const LogLevel levels[] = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError,
                             LogLevel::kOff};
  std::size_t wanted = 4;
  for (const LogLevel level : levels) {
    set_up_log(level, LogFormat::kText);
    EXPECT_EQ(lines_of(shown_by(log_one_of_each)), wanted);
    if (wanted > 0) --wanted;
  }
}

TEST(Log, TextIsTimeLevelMessage) {
  set_up_log(LogLevel::kInfo, LogFormat::kText);
  const std::string line = shown_by([] { log_info("100 % of {} and {0} \"as they are\""); });
  EXPECT_TRUE(std::regex_match(
      line, std::regex(cat(kTime, " info 100 % of \\{\\} and \\{0\\} \"as they are\"\n"))))
      << line;
}

TEST(Log, JsonIsOneObjectALine) {
  set_up_log(LogLevel::kWarn, LogFormat::kJson);
  const std::string line = shown_by([] { log_warn("it's"); });
  EXPECT_TRUE(
      std::regex_match(line, std::regex(cat("\\{\"timestamp\":\"", kTime,
                                            "\",\"level\":\"WARN\",\"message\":\"it's\"\\}\n"))))
      << line;
}

TEST(Log, LinesOfARequestNameItOnItsThreadAlone) {
  const auto of_two = [] {
    const LogScope scope("a-\"1\"");
    log_info("mine");
    std::thread([] { log_info("another's"); }).join();
  };
  set_up_log(LogLevel::kInfo, LogFormat::kJson);
  const std::string json = shown_by([&] {
    of_two();
    log_info("over");
  });
  EXPECT_NE(json.find(R"("level":"INFO","requestId":"a-\"1\"","message":"mine"})"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("level":"INFO","message":"another's"})"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("level":"INFO","message":"over"})"), std::string::npos) << json;
  set_up_log(LogLevel::kInfo, LogFormat::kText);
  EXPECT_NE(shown_by(of_two).find(" info a-\"1\" mine\n"), std::string::npos);
}

TEST(Log, AnEventStaysOnOneLineAndJsonStaysValid) {
  set_up_log(LogLevel::kError, LogFormat::kJson);
  const std::string line = shown_by([] {
    log_error(
        "a\"b\\c\nd\te\x01"
        "f\x7F \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  });
  EXPECT_EQ(lines_of(line), 1u);
  EXPECT_NE(
      line.find("a\\\"b\\\\c\\nd\\te\\u0001f\\u007f \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"}"),
      std::string::npos)
      << line;
  set_up_log(LogLevel::kError, LogFormat::kText);
  EXPECT_EQ(lines_of(shown_by([] { log_error("forged\n2026-01-01 line"); })), 1u);
}

TEST(Log, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  set_up_log(LogLevel::kError, LogFormat::kJson);
  // Stray continuation, overlong, surrogate, beyond U+10FFFF, cut short.
  for (const char* bad : {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xFF", "\xE2\x82"}) {
    const std::string line = shown_by([&] { log_error(cat("<", bad, ">")); });
    EXPECT_NE(line.find("<\xEF\xBF\xBD"), std::string::npos) << line;
    EXPECT_EQ(line.find(bad), std::string::npos) << line;
  }
}

TEST(Log, LinesOfManyThreadsDoNotMix) {
  set_up_log(LogLevel::kInfo, LogFormat::kText);
  const std::string lines = shown_by([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int j = 0; j < 50; ++j) log_info("one whole line");
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  const std::regex line(cat(kTime, " info one whole line\n"));
  EXPECT_EQ(std::distance(std::sregex_iterator(lines.begin(), lines.end(), line), {}), 200);
  EXPECT_EQ(lines_of(lines), 200u);
}

}  // namespace
}  // namespace thaw
