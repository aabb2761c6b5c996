#include "handler/freeze/freeze.h"

#include <gtest/gtest.h>

#include "base/faulty_files.h"
#include "base/random.h"
#include "base/str.h"
#include "handler/manifest.h"
#include "handler/model/plan.h"
#include "snapshot/reader.h"
#include "tests/golden/golden.h"
#include "tests/snapshot/memory_files.h"

namespace thaw::freeze {
namespace {

using snapshot::SectionType;

const std::string kGolden = THAW_SOURCE_DIR "/tests/data/golden/";

Blob contents(const std::string& path) {
  const auto text = read_text(system_files(), path, 64 << 20);
  EXPECT_TRUE(text) << path;
  const Bytes bytes = as_bytes(*text);
  return {bytes.begin(), bytes.end()};
}

// A golden GGUF file in memory, frozen to "out" in memory.
class FreezeTest : public testing::Test {
 protected:
  explicit FreezeTest(const char* model = "llama-q4_1.gguf") {
    files_.files["in"] = contents(kGolden + model);
  }

  Result<FreezeReport> freeze_it(const FreezeOptions& options = {}, unsigned threads = 1) {
    ThreadPool pool(threads);
    return freeze(files_, "in", "out", options, pool, {});
  }

  std::unique_ptr<snapshot::Reader> open(const std::string& path = "out") {
    auto reader = snapshot::Reader::open(files_, path);
    EXPECT_TRUE(reader);
    EXPECT_TRUE((*reader)->verify());
    return std::move(*reader);
  }

  handler::Manifest manifest(const std::string& path = "out") {
    const auto reader = open(path);
    return *handler::read_manifest(*reader->section(SectionType::kManifestBinary));
  }

  MemoryFiles files_;
};

TEST_F(FreezeTest, GivesTheSameBytesWhateverTheThreads) {
  ASSERT_TRUE(freeze_it({}, 1));
  const Blob one = files_.files["out"];
  ASSERT_TRUE(freeze_it({}, 3));
  EXPECT_EQ(one, files_.files["out"]);
}

TEST_F(FreezeTest, ReportsWhatItDid) {
  const auto report = freeze_it();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->format, "GGUF");
  EXPECT_EQ(report->architecture, "llama");
  EXPECT_EQ(report->snapshot_bytes, files_.files["out"].size());
  std::uint32_t queries = 0;
  for (const FreezeRow& row : report->rows) {
    EXPECT_TRUE(row.is_exact) << row.tensors;
    if (row.tensors == "layers.*.query") {
      EXPECT_EQ(row.from, "Q4_1");
      EXPECT_EQ(row.to, "q4m");
      queries = row.count;
    }
  }
  EXPECT_EQ(queries, 2u);
}

TEST_F(FreezeTest, WeightsLieInForwardOrderAndAligned) {
  ASSERT_TRUE(freeze_it());
  const auto reader = open();
  const auto table = reader->section(SectionType::kTensors);
  std::uint64_t end = 0;
  for (std::size_t at = 0; at < table->size(); at += sizeof(model::TensorEntry)) {
    const auto entry = load<model::TensorEntry>(table->data() + at);
    EXPECT_EQ(entry.offset % 64, 0u);
    EXPECT_GE(entry.offset, end);
    end = entry.offset + entry.bytes;
  }
  for (const snapshot::Section& section : reader->sections()) {
    const bool is_weights = section.type == SectionType::kWeights;
    EXPECT_EQ(section.offset % (is_weights ? 2 << 20 : 4096), 0u);
  }
}

TEST_F(FreezeTest, TakesAManifestAndASystemMessage) {
  FreezeOptions options;
  options.manifest_json = R"({"name":"colours","defaults":{"max_tokens":7}})";
  options.system = "You name colours.";
  const auto report = freeze_it(options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(manifest().name, "colours");
  EXPECT_EQ(manifest().max_tokens, 7u);
  EXPECT_EQ(manifest().system, "You name colours.");
  options.manifest_json = "{\"nonsense\":1}";
  const auto refused = freeze_it(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
}

TEST_F(FreezeTest, RefusesASystemMessageThatCouldNotBeReadBack) {
  FreezeOptions options;
  options.system = "not UTF-8: \xFF";
  const auto refused = freeze_it(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_FALSE(files_.files.contains("out"));
}

TEST_F(FreezeTest, ASnapshotAgainKeepsItsWeightsAndTakesTheNewManifest) {
  ASSERT_TRUE(freeze_it());
  files_.files["in"] = files_.files["out"];
  FreezeOptions options;
  options.system = "Be brief.";
  ThreadPool pool(1);
  const auto again = freeze(files_, "in", "again", options, pool, {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(manifest("again").system, "Be brief.");
  const auto before = open("out");
  const auto after = open("again");
  for (const SectionType type : {SectionType::kWeights, SectionType::kTokenizer,
                                 SectionType::kTensors, SectionType::kTemplate}) {
    const auto a = before->section(type);
    const auto b = after->section(type);
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(std::equal(a->begin(), a->end(), b->begin(), b->end()));
  }
  options.weights = Weights::kQ8;
  EXPECT_EQ(freeze(files_, "in", "no", options, pool, {}).error().code, Code::kInvalid);
}

TEST_F(FreezeTest, LeavesAnExistingFileAloneWhateverCallFails) {
  ASSERT_TRUE(freeze_it());
  const Blob before = files_.files["out"];
  ThreadPool pool(1);
  FreezeOptions options;
  options.system = "another";
  for (const bool torn : {false, true}) {
    std::uint64_t k = 1;
    for (;; ++k) {
      FaultyFiles faulty(files_, {.call = k, .only = {}, .torn = torn});
      const auto result = freeze(faulty, "in", "out", options, pool, {});
      if (!faulty.fault_happened()) {
        EXPECT_TRUE(result);
        break;
      }
      if (result) continue;  // the finished file's size could not be had: nothing is lost
      EXPECT_TRUE(files_.files["out"] == before) << "call " << k;
    }
    EXPECT_GT(k, 10u);
    files_.files["out"] = before;
  }
}

TEST_F(FreezeTest, RefusesEveryTruncationOfItsSource) {
  const Blob whole = files_.files["in"];
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 37) {
    files_.files["in"].assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto result = freeze_it();
    ASSERT_FALSE(result) << size;
    EXPECT_FALSE(files_.files.contains("out"));
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  }
}

// Damage to the file's head never trips a check: an error, or another model.
TEST_F(FreezeTest, SurvivesAnyByteOfItsSourceChanged) {
  const Blob whole = files_.files["in"];
  Random random(11);
  for (int i = 0; i < 400; ++i) {
    Blob changed = whole;
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      changed[random.below(std::min<std::uint64_t>(changed.size(), 12'000))] =
          static_cast<std::byte>(random.below(256));
    }
    files_.files["in"] = std::move(changed);
    const auto result = freeze_it();
    EXPECT_TRUE(!result || snapshot::Reader::open(files_, "out"));
  }
}

class WeightsTest : public testing::TestWithParam<std::pair<const char*, double>> {};

// What each --weights costs on a float model, teacher-forced against the float32 reference.
TEST_P(WeightsTest, LosesNoMoreThanItsBitsExplain) {
  const auto [kind, kl_max] = GetParam();
  const auto expected = golden::read_expected("qwen3-f32");
  MemoryFiles files;
  files.files["in"] = contents(kGolden + "qwen3-f32.gguf");
  FreezeOptions options;
  options.weights = std::string_view(kind) == "q8"   ? Weights::kQ8
                    : std::string_view(kind) == "q4" ? Weights::kQ4
                                                     : Weights::kQ4m;
  ThreadPool pool(1);
  ASSERT_TRUE(freeze(files, "in", "out", options, pool, {}));
  // A map in memory is not aligned as a file's is: evaluate from a real file.
  const std::string path = cat(testing::TempDir(), "weights-", kind, ".thaw");
  auto file = system_files().create(path);
  ASSERT_TRUE((*file)->append(files.files["out"]));
  ASSERT_TRUE((*file)->commit());
  const auto reader = snapshot::Reader::open(system_files(), path);
  const auto plan = model::Plan::make(**reader);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto logits = golden::evaluate(*plan, **kernels::select(""), 1, 0, expected.tokens);
  const double kl = golden::distance(expected, logits).mean_kl;
  EXPECT_LE(kl, kl_max);
  EXPECT_GT(kl, 1e-6);  // it did quantise
  std::remove(path.c_str());
}

INSTANTIATE_TEST_SUITE_P(Kinds, WeightsTest,
                         testing::Values(std::pair("q8", 5e-3), std::pair("q4", 0.4),
                                         std::pair("q4m", 0.3)),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace thaw::freeze
