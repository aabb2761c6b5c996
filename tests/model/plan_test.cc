#include "handler/model/plan.h"

#include <gtest/gtest.h>
#include "handler/model/engine.h"
#include "snapshot/writer.h"
#include "tests/golden/golden.h"
#include "tests/snapshot/memory_files.h"

namespace thaw::model {
namespace {

using snapshot::SectionType;

// A golden snapshot whose model and tensor sections a test may change before it is written again.
class PlanTest : public testing::Test {
 protected:
  PlanTest() : golden_(golden::freeze_golden("qwen3-f32")) {
    model_ = copy(SectionType::kModel);
    tensors_ = copy(SectionType::kTensors);
  }

  Blob copy(SectionType type) const {
    const auto bytes = golden_->reader->section(type);
    return {bytes->begin(), bytes->end()};
  }

  // Writes the snapshot with the sections as they are now; opens and plans it.
  Result<Plan> plan(bool with_weights = true) {
    auto writer = snapshot::Writer::create(files_, "s");
    EXPECT_TRUE(writer);
    EXPECT_TRUE((*writer)->add(SectionType::kModel, {}, model_));
    EXPECT_TRUE((*writer)->add(SectionType::kTensors, {}, tensors_));
    if (with_weights) {
      EXPECT_TRUE((*writer)->add(SectionType::kWeights, {},
                                 *golden_->reader->section(SectionType::kWeights)));
      EXPECT_TRUE((*writer)->add(SectionType::kEmbedding, {},
                                 *golden_->reader->section(SectionType::kEmbedding)));
    }
    EXPECT_TRUE((*writer)->finish());
    auto reader = snapshot::Reader::open(files_, "s");
    EXPECT_TRUE(reader);
    reader_ = std::move(*reader);
    return Plan::make(*reader_);
  }

  void expect_error(Code code, std::string_view part) {
    const auto made = plan();
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, code) << made.error().message;
    EXPECT_NE(made.error().message.find(part), std::string::npos) << made.error().message;
  }

  template <class T>
  void put(Blob& blob, std::size_t offset, T value) {
    store(blob.data() + offset, value);
  }

  TensorEntry entry(std::size_t index) const {
    return load<TensorEntry>(tensors_.data() + index * sizeof(TensorEntry));
  }
  void put_entry(std::size_t index, const TensorEntry& entry) {
    store(tensors_.data() + index * sizeof(TensorEntry), entry);
  }

  std::unique_ptr<golden::Frozen> golden_;
  MemoryFiles files_;
  std::unique_ptr<snapshot::Reader> reader_;
  Blob model_, tensors_;
};

TEST_F(PlanTest, ReadsWhatWasFrozen) {
  const auto made = plan();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->config.architecture, static_cast<std::uint32_t>(Architecture::kQwen3));
  EXPECT_EQ(made->layers.size(), 2u);
  EXPECT_NE(made->layers[1].query_norm, nullptr);
  EXPECT_FALSE(made->embedding_rows.empty());
  EXPECT_NE(made->output.panels, nullptr);
}

TEST_F(PlanTest, RefusesOtherVersions) {
  put(model_, offsetof(Config, version), std::uint32_t{9});
  expect_error(Code::kUnsupported, "freeze the model anew");
  put(model_, offsetof(Config, version), kModelVersion);
  put(model_, offsetof(Config, arithmetic_version), std::uint32_t{99});
  expect_error(Code::kUnsupported, "arithmetic version 99");
}

TEST_F(PlanTest, NamesTheFieldThatIsOutOfBounds) {
  put(model_, offsetof(Config, heads), std::uint32_t{0});
  expect_error(Code::kCorrupt, "'heads'");
}

TEST_F(PlanTest, RefusesHeadsThatKvHeadsDoNotDivide) {
  put(model_, offsetof(Config, kv_heads), std::uint32_t{3});
  expect_error(Code::kCorrupt, "not a multiple of 3 kv heads");
}

TEST_F(PlanTest, RefusesAShapeThatTheConfigDoesNotWant) {
  TensorEntry changed = entry(1);
  changed.rows += 1;
  put_entry(1, changed);
  expect_error(Code::kCorrupt, "the config wants");
}

TEST_F(PlanTest, RefusesATensorPastItsSection) {
  TensorEntry changed = entry(1);
  changed.offset = std::uint64_t{1} << 60;
  put_entry(1, changed);
  expect_error(Code::kCorrupt, "of a section of");
}

TEST_F(PlanTest, RefusesATensorTwice) {
  put_entry(2, entry(1));
  expect_error(Code::kCorrupt, "listed twice");
}

TEST_F(PlanTest, NamesATensorThatIsMissing) {
  tensors_.erase(tensors_.begin(), tensors_.begin() + sizeof(TensorEntry));
  expect_error(Code::kCorrupt, "'layers.0.attention_norm' is missing");
}

TEST_F(PlanTest, NeedsItsSections) {
  const auto made = plan(/*with_weights=*/false);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kNotFound);
}

// Checksums are not read on the way to an answer: whatever the sections hold, planning and
// evaluating must stay within their bytes. Run under the sanitizers, this is what shows it.
TEST_F(PlanTest, StaysInBoundsWhateverByteIsChanged) {
  ThreadPool pool(1);
  const auto& set = **kernels::select("scalar");
  std::size_t planned = 0;
  const auto try_each = [&](Blob& blob, std::size_t step) {
    for (std::size_t at = 0; at < blob.size(); at += step) {
      for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xFF}}) {
        blob[at] ^= flip;
        const auto made = plan();
        blob[at] ^= flip;
        if (!made) continue;
        planned += 1;
        Engine engine(*made, set, pool, {});
        const auto session = engine.new_session();
        const Token tokens[] = {0, 1};
        const BatchItem item{session.get(), tokens, LogitsWanted::kLast};
        (void)engine.forward(std::span(&item, 1), [](auto, auto, std::span<const float>) {
          return Result<Done>(Done{});
        });
      }
    }
  };
  try_each(model_, 1);
  try_each(tensors_, 5);   // coprime to the entry's size: every field of some entry
  EXPECT_GT(planned, 0u);  // rope turns and reserved fields may hold anything
}

}  // namespace
}  // namespace thaw::model
