#include "runtime/triggers/triggers.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace thaw::triggers {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace std::chrono_literals;

// A function that remembers its events and answers as it is told.
class TriggersTest : public testing::Test {
 protected:
  TriggersTest() {
    std::string name = (fs::temp_directory_path() / "thaw-triggers-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    Functions functions;
    functions.invoke = [this](const std::string&, std::string event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(Json::parse(event));
      return answer_(events_.back());
    };
    functions.accept = [this](const std::string&, std::string event) -> Result<Done> {
      const std::lock_guard lock(mutex_);
      if (refusals_ > 0) {
        --refusals_;
        return fail(Code::kLimit, "full");
      }
      events_.push_back(Json::parse(event));
      return Done{};
    };
    triggers_ = std::make_unique<Triggers>(functions, system_clock(), system_files(),
                                           system_state_files(), "eu-1", [this](auto line) {
                                             const std::lock_guard lock(mutex_);
                                             said_ += line;
                                           });
  }
  ~TriggersTest() override {
    triggers_.reset();
    fs::remove_all(directory_);
  }
  void append(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name, std::ios::app) << text;
  }
  std::vector<Json> wait_for_events(std::size_t count) {
    for (int tries = 0; tries < 1000; ++tries) {
      {
        const std::lock_guard lock(mutex_);
        if (events_.size() >= count) return events_;
      }
      std::this_thread::sleep_for(5ms);
    }
    const std::lock_guard lock(mutex_);
    return events_;
  }
  QueueSource queue() const {
    QueueSource source;
    source.function = "chat";
    source.name = "jobs";
    source.path = directory_ + "/jobs";
    source.dead_letters = directory_ + "/dead/jobs";
    source.visibility = 20ms;
    return source;
  }
  static std::vector<std::string> bodies(const Json& event) {
    std::vector<std::string> all;
    for (const Json& record : event["Records"]) all.push_back(record["body"]);
    return all;
  }
  using Bodies = std::vector<std::string>;

  std::string directory_;
  std::mutex mutex_;  // guards all below
  std::vector<Json> events_;
  std::string said_;
  int refusals_ = 0;
  std::function<Functions::Answer(const Json&)> answer_ = [](const Json&) {
    return Functions::Answer{true, "{}"};
  };
  std::unique_ptr<Triggers> triggers_;
};

TEST_F(TriggersTest, BatchesTheLinesOfAFileAndFollowsIt) {
  append("jobs", "one\ntwo\r\n\nthree\nunfinish");
  QueueSource source = queue();
  source.batch_size = 2;
  triggers_->add(source);
  auto events = wait_for_events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(bodies(events[0]), (Bodies{"one", "two"}));
  EXPECT_EQ(bodies(events[1]), Bodies{"three"});
  append("jobs", "ed\n");
  events = wait_for_events(3);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(bodies(events[2]), Bodies{"unfinished"});
}

TEST_F(TriggersTest, ShowsFailedMessagesAgainAndBuriesThemInTheEnd) {
  answer_ = [](const Json& event) {
    Json failures = Json::array();
    for (const Json& record : event["Records"]) {
      if (record["body"] == "bad") failures.push_back({{"itemIdentifier", record["messageId"]}});
    }
    return Functions::Answer{true, Json{{"batchItemFailures", failures}}.dump()};
  };
  append("jobs", "good\nbad\nfine\n");
  QueueSource source = queue();
  source.partial_failures = true;
  triggers_->add(source);
  const auto events = wait_for_events(5);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(bodies(events[0]), (Bodies{"good", "bad", "fine"}));
  for (std::size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(bodies(events[i]), Bodies{"bad"});
    EXPECT_EQ(events[i]["Records"][0]["attributes"]["ApproximateReceiveCount"],
              std::to_string(i + 1));
    EXPECT_EQ(events[i]["Records"][0]["messageId"], events[0]["Records"][1]["messageId"]);
  }
  std::this_thread::sleep_for(250ms);
  EXPECT_EQ(wait_for_events(5).size(), 5u) << "no more after the fifth";
  std::ifstream dead(source.dead_letters);
  std::string line;
  ASSERT_TRUE(std::getline(dead, line));
  EXPECT_EQ(Json::parse(line)["body"], "bad");
}

TEST_F(TriggersTest, AWholeBatchFailsWithItsInvocationOrAWrongAnswer) {
  int calls = 0;
  answer_ = [&](const Json&) {
    ++calls;
    if (calls == 1) return Functions::Answer{false, "{}"};
    if (calls == 2) return Functions::Answer{true, R"({"batchItemFailures":[{"x":1}]})"};
    return Functions::Answer{true, "{}"};
  };
  append("jobs", "one\ntwo\n");
  QueueSource source = queue();
  source.partial_failures = true;
  triggers_->add(source);
  const auto events = wait_for_events(3);
  ASSERT_EQ(events.size(), 3u);
  for (const Json& event : events) EXPECT_EQ(bodies(event), (Bodies{"one", "two"}));
  std::this_thread::sleep_for(150ms);
  EXPECT_EQ(wait_for_events(3).size(), 3u);
}

TEST_F(TriggersTest, SkipsALineThatIsTooLong) {
  append("jobs", std::string(Triggers::kMessageBytesMax + 10, 'x') + "\nshort\n");
  triggers_->add(queue());
  const auto events = wait_for_events(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(bodies(events[0]), Bodies{"short"});
}

TEST_F(TriggersTest, TellsOfNewFilesOnceTheyStandStill) {
  fs::create_directories(directory_ + "/in/sub");
  append("in/old.txt", "there before");
  refusals_ = 1;
  triggers_->add(BucketSource{"chat", "uploads", directory_ + "/in"});
  std::this_thread::sleep_for(50ms);
  append("in/sub/new one.txt", "hello");
  append("in/.hidden", "x");
  auto events = wait_for_events(1);
  ASSERT_EQ(events.size(), 1u) << "a refusal is tried again";
  const Json object = events[0]["Records"][0]["s3"]["object"];
  EXPECT_EQ(object["key"], "sub/new+one.txt");
  EXPECT_EQ(object["size"], 5);
  EXPECT_EQ(object["eTag"], md5("hello"));
  append("in/sub/new one.txt", " again");
  events = wait_for_events(2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1]["Records"][0]["s3"]["object"]["size"], 11);
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(wait_for_events(2).size(), 2u);
}

TEST_F(TriggersTest, KeepsTime) {
  triggers_->add(ScheduleSource{"chat", "tick", *Schedule::parse("@every 1s"), ""});
  triggers_->add(ScheduleSource{"chat", "tock", *Schedule::parse("@every 1s"), R"({"own":1})"});
  const auto events = wait_for_events(2);
  ASSERT_GE(events.size(), 2u);
  int own = 0;
  for (const Json& event : events) own += event.contains("own") ? 1 : 0;
  EXPECT_GE(own, 1);
  EXPECT_LT(own, static_cast<int>(events.size()));
}

}  // namespace
}  // namespace thaw::triggers
