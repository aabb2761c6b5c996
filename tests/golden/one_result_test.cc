// The same snapshot and tokens give the same bits: every kernel set, thread count, chunk length and
// batch composition, on a model of every architecture and kind.

#include <gtest/gtest.h>

#include "tests/golden/golden.h"

namespace thaw::golden {
namespace {

constexpr const char* kModels[] = {"llama-f32",    "llama-tied-f16", "llama-bf16", "llama-yarn-f32",
                                   "qwen2-f32",    "qwen3-f32",      "llama-q8_0", "llama-q4_0",
                                   "llama-q4_1",   "llama-q4_k",     "qwen2-q5_k", "qwen3-q6_k",
                                   "llama-q4_k_m", "hf-qwen3-bf16"};

class OneResult : public testing::TestWithParam<const char*> {};

TEST_P(OneResult, OnEverySetWithAnyThreadsAndAnyChunk) {
  const Expected expected = read_expected(GetParam());
  const auto frozen = freeze_golden(GetParam());
  const auto& scalar = **kernels::select("scalar");
  const auto want = evaluate(frozen->plan, scalar, 1, 512, expected.tokens);
  for (const kernels::KernelSet* set : all_sets()) {
    for (const unsigned threads : {1u, 2u, 3u}) {
      for (const std::uint32_t chunk : {1u, 7u, 64u, 512u}) {
        const auto have = evaluate(frozen->plan, *set, threads, chunk, expected.tokens);
        EXPECT_TRUE(same_bits(have, want))
            << set->name << ", " << threads << " threads, chunk " << chunk;
      }
    }
  }
}

constexpr model::LogitsWanted kWanted[] = {model::LogitsWanted::kAll, model::LogitsWanted::kLast,
                                           model::LogitsWanted::kNone};

// Several sequences in one batch, in pieces of other lengths; the logits that are told are compared
// with those of each sequence alone.
class InBatches {
 public:
  InBatches(model::Engine& engine, std::span<const std::span<const model::Token>> sequences,
            std::span<const std::vector<float>> alone)
      : engine_(engine), sequences_(sequences), alone_(alone), at_(sequences.size(), 0) {
    for (std::size_t i = 0; i < sequences.size(); ++i) sessions_.push_back(engine.new_session());
  }

  // Whether there was anything left. `wanted`(sequence): the logits of its piece.
  bool round(std::size_t round, const std::function<model::LogitsWanted(std::size_t)>& wanted) {
    std::vector<model::BatchItem> batch;
    std::vector<Place> first, told;  // of each item, its first token; of all logits to be told
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      const std::size_t take = std::min(sequences_[i].size() - at_[i], (round + 3 * i) % 9 + 1);
      if (take == 0) continue;
      batch.push_back({sessions_[i].get(), sequences_[i].subspan(at_[i], take), wanted(i)});
      first.push_back({i, at_[i]});
      at_[i] += take;
      std::size_t count = wanted(i) == model::LogitsWanted::kAll ? take : 1;
      if (wanted(i) == model::LogitsWanted::kNone) count = 0;
      for (; count > 0; --count) told.push_back({i, at_[i] - count});
    }
    if (batch.empty()) return false;
    std::size_t calls = 0;
    const auto done = engine_.forward(
        batch, [&](std::size_t item, std::size_t index, std::span<const float> row) {
          const Place place = {first[item].sequence, first[item].position + index};
          EXPECT_TRUE(calls < told.size() && place == told[calls]);
          ++calls;
          const std::span<const float> want = alone_[place.sequence];
          EXPECT_TRUE(same_bits(row, want.subspan(place.position * row.size(), row.size())))
              << "sequence " << place.sequence << ", token " << place.position;
          return Result<Done>(Done{});
        });
    EXPECT_TRUE(done.has_value());
    EXPECT_EQ(calls, told.size());
    return done.has_value();
  }

 private:
  struct Place {
    std::size_t sequence, position;
    bool operator==(const Place&) const = default;
  };

  model::Engine& engine_;
  const std::span<const std::span<const model::Token>> sequences_;
  const std::span<const std::vector<float>> alone_;
  std::vector<std::size_t> at_;
  std::vector<std::unique_ptr<model::Session>> sessions_;
};

// All logits are wanted, or all of one sequence, the last of another and none of a third, in turn.
TEST_P(OneResult, WhateverElseIsInTheBatch) {
  const Expected expected = read_expected(GetParam());
  const auto frozen = freeze_golden(GetParam());
  const std::span<const model::Token> tokens = expected.tokens;
  const std::span<const model::Token> sequences[] = {tokens, tokens.subspan(3, 17),
                                                     tokens.subspan(11)};
  for (const kernels::KernelSet* set : all_sets()) {
    std::vector<std::vector<float>> alone;
    for (const auto& sequence : sequences) {
      alone.push_back(evaluate(frozen->plan, *set, 1, 512, sequence));
    }
    for (std::size_t turn = 0; turn <= std::size(kWanted); ++turn) {
      SCOPED_TRACE(testing::Message() << set->name << ", turn " << turn);
      ThreadPool pool(2);
      model::EngineOptions options;
      options.chunk_tokens = 13;
      model::Engine engine(frozen->plan, *set, pool, options);
      InBatches batches(engine, sequences, alone);
      const auto wanted = [&](std::size_t round, std::size_t i) {
        return turn == std::size(kWanted) ? model::LogitsWanted::kAll
                                          : kWanted[(round + i + turn) % std::size(kWanted)];
      };
      for (std::size_t round = 0;; ++round) {
        if (!batches.round(round, [&](std::size_t i) { return wanted(round, i); })) break;
      }
    }
  }
}

// The last position alone, as prefill asks for it, is the last of all.
TEST_P(OneResult, WhetherAllLogitsAreWantedOrTheLast) {
  const Expected expected = read_expected(GetParam());
  const auto frozen = freeze_golden(GetParam());
  const auto& set = **kernels::select("");
  const auto all = evaluate(frozen->plan, set, 2, 16, expected.tokens);
  ThreadPool pool(2);
  model::Engine engine(frozen->plan, set, pool, {});
  const auto session = engine.new_session();
  std::vector<float> last;
  const model::BatchItem item{session.get(), expected.tokens, model::LogitsWanted::kLast};
  const auto done = engine.forward(std::span(&item, 1),
                                   [&](std::size_t, std::size_t index, std::span<const float> row) {
                                     EXPECT_EQ(index, expected.tokens.size() - 1);
                                     last.assign(row.begin(), row.end());
                                     return Result<Done>(Done{});
                                   });
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(same_bits(last, std::span(all).last(expected.vocabulary)));
}

INSTANTIATE_TEST_SUITE_P(Models, OneResult, testing::ValuesIn(kModels), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace thaw::golden
