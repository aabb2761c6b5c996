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

// Three sequences of other lengths in one batch, in pieces of other lengths, against each alone.
TEST_P(OneResult, WhateverElseIsInTheBatch) {
  const Expected expected = read_expected(GetParam());
  const auto frozen = freeze_golden(GetParam());
  const std::span<const model::Token> tokens = expected.tokens;
  const std::span<const model::Token> sequences[] = {tokens, tokens.subspan(3, 17),
                                                     tokens.subspan(11)};
  for (const kernels::KernelSet* set : all_sets()) {
    ThreadPool pool(2);
    model::EngineOptions options;
    options.chunk_tokens = 13;
    model::Engine engine(frozen->plan, *set, pool, options);
    std::vector<std::unique_ptr<model::Session>> sessions;
    std::vector<std::vector<float>> logits(std::size(sequences));
    std::vector<std::size_t> at(std::size(sequences), 0);
    for (std::size_t i = 0; i < std::size(sequences); ++i) {
      sessions.push_back(engine.new_session());
    }
    for (std::size_t round = 0;; ++round) {
      std::vector<model::BatchItem> batch;
      std::vector<std::size_t> who;
      for (std::size_t i = 0; i < std::size(sequences); ++i) {
        const std::size_t take = std::min(sequences[i].size() - at[i], (round + 3 * i) % 5 + 1);
        if (take == 0) continue;
        batch.push_back(
            {sessions[i].get(), sequences[i].subspan(at[i], take), model::LogitsWanted::kAll});
        who.push_back(i);
        at[i] += take;
      }
      if (batch.empty()) break;
      const auto done =
          engine.forward(batch, [&](std::size_t item, std::size_t, std::span<const float> row) {
            logits[who[item]].insert(logits[who[item]].end(), row.begin(), row.end());
            return Result<Done>(Done{});
          });
      ASSERT_TRUE(done.has_value());
    }
    for (std::size_t i = 0; i < std::size(sequences); ++i) {
      EXPECT_TRUE(same_bits(logits[i], evaluate(frozen->plan, *set, 1, 512, sequences[i])))
          << set->name << ", sequence " << i;
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
