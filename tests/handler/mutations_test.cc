// Ten thousand damaged samples: each gets an answer or an error, and nothing else happens.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/random.h"
#include "fakes.h"
#include "handler/event/json.h"
#include "handler/event/utf8.h"

namespace thaw::handler {
namespace {

constexpr int kMutations = 10000;

std::vector<std::string> samples() {
  const std::string root = std::string(THAW_SOURCE_DIR) + "/tests/data/events";
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".json") {
      paths.push_back(std::filesystem::relative(entry.path(), root).string());
    }
  }
  std::sort(paths.begin(), paths.end());  // one seed, one run, on every file system
  std::vector<std::string> texts;
  for (const std::string& path : paths) texts.push_back(read_sample(path));
  return texts;
}

// A string of a text without escapes, quotes excluded; behind `from`, or the first.
struct Quoted {
  std::size_t at = 0;
  std::size_t size = 0;
};
Quoted quoted_behind(const std::string& text, std::size_t from) {
  for (const std::size_t start : {from, std::size_t{0}}) {
    const std::size_t open = text.find(start == 0 ? "\"" : ",\"", start);
    if (open == std::string::npos) continue;
    const std::size_t at = text.find('"', open) + 1;
    const std::size_t end = text.find('"', at);
    if (end != std::string::npos) return {at, end - at};
  }
  return {};
}

// JSON stays JSON: keys and strings take each other's places, values become others.
void swap_words(Random& random, const std::vector<std::string>& all, std::string& text) {
  static constexpr std::string_view kValues[] = {"null",
                                                 "true",
                                                 "-1",
                                                 "1e999",
                                                 "{}",
                                                 "[]",
                                                 R"("")",
                                                 R"("aws:sqs")",
                                                 R"("1.0")",
                                                 R"([[]])",
                                                 R"("\u0000")",
                                                 R"("AA==")",
                                                 R"({"S":7})",
                                                 R"({"prompt":"Hi"})",
                                                 "12345678901234567890"};
  const Quoted to = quoted_behind(text, random.below(text.size()));
  if (to.at == 0) return;
  if (random.below(3) == 0) {
    // A whole value, if that is what it is: a key is followed by a colon.
    const std::size_t behind = text.find_first_not_of(" \t\r\n", to.at + to.size + 1);
    if (behind != std::string::npos && text[behind] == ':') return;
    text.replace(to.at - 1, to.size + 2, kValues[random.below(std::size(kValues))]);
    return;
  }
  const std::string& other = all[random.below(all.size())];
  const Quoted from = quoted_behind(other, random.below(other.size()));
  if (from.at != 0) text.replace(to.at, to.size, other.substr(from.at, from.size));
}

void damage(Random& random, const std::vector<std::string>& all, std::string& text) {
  const std::size_t at = random.below(text.size());
  const std::size_t count = std::min<std::size_t>(1 + random.below(20), text.size() - at);
  switch (random.below(4)) {
    case 0: text[at] = static_cast<char>(random.below(256)); break;
    case 1: text.erase(at, count); break;
    case 2: text.insert(at, text.substr(at, count)); break;
    default: {
      const std::string& other = all[random.below(all.size())];
      text.insert(at, other.substr(random.below(other.size()), random.below(200)));
    }
  }
}

std::string mutated(Random& random, const std::vector<std::string>& all) {
  std::string text = all[random.below(all.size())];
  const bool keeps_json = random.below(4) != 0;
  for (std::uint64_t edits = 1 + random.below(6); edits > 0 && !text.empty(); --edits) {
    keeps_json ? swap_words(random, all, text) : damage(random, all, text);
  }
  return text;
}

TEST(Mutations, OfTheSamplesNeverEndTheProcess) {
  constexpr std::uint64_t kSeed = 41;
  Random random(kSeed);
  const std::vector<std::string> all = samples();
  ASSERT_GT(all.size(), 100u);
  std::size_t answered = 0;
  House house;
  house.manifest.events = {{"*", SourceMapping::Use::kContent, {}, "", 4}};
  Handler handler(house.generator, house.manifest, house.clock);
  for (int round = 0; round < kMutations; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << ", round " << round);
    const std::string event = mutated(random, all);
    house.generator.requests.clear();
    FakeResponder responder;
    const Outcome outcome = handler.handle(event, {house.request_id, std::nullopt}, responder);
    if (outcome.error) {
      ASSERT_TRUE(outcome.error->type.starts_with("Function.")) << outcome.error->type;
      ASSERT_TRUE(event::is_utf8(outcome.error->message)) << outcome.error->message;
      ASSERT_EQ(outcome.error->message.find('\n'), std::string::npos);
      ASSERT_LT(outcome.error->message.size(), 2048u);
      ASSERT_TRUE(outcome.body.empty());
    } else {
      ASSERT_TRUE(json::Document::parse(outcome.body).has_value()) << outcome.body;
      ++answered;
    }
  }
  EXPECT_GT(answered, std::size_t{kMutations} / 20) << "mutations that leave events whole count";
  EXPECT_LT(answered, std::size_t{kMutations} * 19 / 20);
}

}  // namespace
}  // namespace thaw::handler
