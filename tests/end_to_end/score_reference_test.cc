// `thaw score --reference` as a person types it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;

constexpr const char* kFloat = THAW_SOURCE_DIR "/tests/data/golden/llama-f32.gguf";

// A JSON array of ids in a file that is removed with the object.
class Ids {
 public:
  explicit Ids(std::size_t count)
      : path_(cat(testing::TempDir(), "thaw-reference-", getpid(), "-", count, ".json")) {
    json ids = json::array();
    for (std::size_t i = 0; i < count; ++i) ids.push_back((i * i * 7 + 5) % 288);
    auto file = system_files().create(path_);
    EXPECT_TRUE((*file)->append(as_bytes(ids.dump())));
    EXPECT_TRUE((*file)->commit());
  }
  ~Ids() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

json score(const std::string& source, const Ids& ids, std::vector<std::string> more,
           const std::vector<std::string>& environment = {}) {
  std::vector<std::string> words = {"score", snapshot_of(source), "--tokens", ids.path(), "--json"};
  words.insert(words.end(), more.begin(), more.end());
  const Finished run = run_thaw(words, environment);
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_TRUE(run.err.empty()) << "progress, and this is no terminal: " << run.err;
  return json::parse(run.out, nullptr, /*allow_exceptions=*/false);
}

void expect_refusal(const std::vector<std::string>& words, std::string_view part) {
  const Finished run = run_thaw(words);
  EXPECT_EQ(run.code, 1);
  EXPECT_TRUE(run.out.empty()) << run.out;
  EXPECT_EQ(run.err.find('\n'), run.err.size() - 1) << "not one line: " << run.err;
  EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
}

TEST(ScoreReference, SaysWhatQuantisedArithmeticCosts) {
  const Ids ids(100);
  const json scored = score(tiny_model(), ids, {"--reference"});
  const json& reference = scored["reference"];
  EXPECT_EQ(reference["positions"], 100);
  EXPECT_GT(reference["mean_kl"].get<double>(), 0);
  EXPECT_LT(reference["mean_kl"].get<double>(), 3e-2);  // golden_test.cc's tolerance of this model
  EXPECT_GT(reference["p99_kl"].get<double>(), reference["mean_kl"].get<double>());
  EXPECT_GE(reference["top1_agreement"].get<double>(), 0.85);
  EXPECT_TRUE(reference["margin_max"].is_number() || reference["margin_max"].is_null());
  EXPECT_EQ(reference["margin_max"].is_null(), reference["top1_agreement"] == 1.0);
  EXPECT_NEAR(std::exp(reference["mean_nll"].get<double>()), reference["perplexity"].get<double>(),
              1e-6 * reference["perplexity"].get<double>());
  EXPECT_NEAR(reference["mean_nll"].get<double>(), scored["mean_nll"].get<double>(), 0.2);
}

TEST(ScoreReference, ChangesNothingOfTheScore) {
  const Ids ids(40);
  json with = score(tiny_model(), ids, {"--reference"});
  with.erase("reference");
  EXPECT_EQ(with, score(tiny_model(), ids, {}));
}

TEST(ScoreReference, FloatWeightsCostNextToNothing) {
  const json reference = score(kFloat, Ids(60), {"--reference"})["reference"];
  EXPECT_LT(reference["mean_kl"].get<double>(), 1e-5);
  EXPECT_EQ(reference["top1_agreement"], 1.0);
  EXPECT_TRUE(reference["margin_max"].is_null());
}

TEST(ScoreReference, FollowsFromAndThreads) {
  const Ids ids(70);
  const json one = score(tiny_model(), ids, {"--reference", "--from", "50", "--threads", "1"});
  EXPECT_EQ(one["reference"]["positions"], 20);
  const json two =
      score(tiny_model(), ids, {"--reference", "--from", "50"}, {"THAW_THREADS=2"});
  for (const char* field : {"mean_nll", "mean_kl", "p99_kl"}) {
    EXPECT_NEAR(one["reference"][field].get<double>(), two["reference"][field].get<double>(), 1e-6)
        << field;
  }
}

// The weights lie in memory of the process's own then, and come in as they are asked for.
TEST(ScoreReference, ReadsWeightsThatAreNotMapped) {
  const Ids ids(30);
  EXPECT_EQ(score(tiny_model(), ids, {"--reference", "--threads", "1"}, {"THAW_PAGING=read"}),
            score(tiny_model(), ids, {"--reference", "--threads", "1"}));
}

TEST(ScoreReference, IsATableForPeople) {
  const Ids ids(30);
  const Finished run =
      run_thaw({"score", snapshot_of(tiny_model()), "--tokens", ids.path(), "--reference"});
  ASSERT_EQ(run.code, 0) << run.err;
  for (const char* part : {"digest", "float32", "mean KL", "99 % KL", "top-1"}) {
    EXPECT_NE(run.out.find(part), std::string::npos) << part << " in " << run.out;
  }
}

TEST(ScoreReference, RefusesWhatIsTooShortAndTooLong) {
  const std::string snapshot = snapshot_of(tiny_model());
  const Ids one(1), some(20), beyond(513);
  const auto words = [&](const Ids& ids) {
    return std::vector<std::string>{"score", snapshot, "--tokens", ids.path(), "--reference"};
  };
  expect_refusal(words(one), "wanted at least 2");
  std::vector<std::string> last = words(some);
  last.insert(last.end(), {"--from", "19"});
  expect_refusal(last, "wanted at least 2");
  expect_refusal(words(beyond), "context is 512");
}

}  // namespace
}  // namespace thaw::end_to_end
