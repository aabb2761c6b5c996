// Generations that run together give what each gives alone: tokens, text, scores, errors.
#include <gtest/gtest.h>

#include <algorithm>

#include "handler/function.h"
#include "tests/golden/golden.h"

namespace thaw::golden {
namespace {

using handler::FinishReason;
using handler::Generation;
using handler::GenerationRequest;
using handler::Generator;
using handler::TextPiece;

struct Told {
  std::string text;
  std::vector<double> logprobs;
  std::string error;
  std::vector<text::Token> tokens;
  FinishReason finish_reason = FinishReason::kStop;
  std::uint32_t prompt_tokens = 0;
  bool operator==(const Told&) const = default;
};

handler::TextSink sink_of(Told& told) {
  return [&told](const TextPiece& piece) {
    told.text += piece.text;
    for (const handler::ScoredToken& token : piece.tokens) {
      told.logprobs.push_back(token.chosen.logprob);
      for (const handler::TokenScore& top : token.top) told.logprobs.push_back(top.logprob);
    }
    return true;
  };
}

void add(Told& told, const Result<Generation>& generation) {
  if (!generation) {
    told.error = generation.error().message;
    return;
  }
  told.tokens = generation->tokens;
  told.finish_reason = generation->finish_reason;
  told.prompt_tokens = generation->usage.prompt_tokens;
}

std::vector<GenerationRequest> requests(std::uint32_t context) {
  std::vector<GenerationRequest> all;
  for (std::uint32_t i = 0; i < 7; ++i) {
    GenerationRequest request;
    // Lengths from a few tokens to more than a chunk.
    std::string prompt;
    for (std::uint32_t n = 0; n < 1 + 9 * i; ++n)
      prompt += static_cast<char>('a' + (n * 7 + i) % 26);
    request.prompt = prompt;
    request.max_tokens = 3 + 5 * i;
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.9f;
    request.sampling.seed = 100 + i;
    request.sampling.repetition_penalty = i == 3 ? 1.3f : 1.0f;
    request.logprobs = i % 3 == 0;
    request.top_logprobs = i;
    all.push_back(std::move(request));
  }
  all[2].prompt = std::string(4 * context, 'x');  // fits no context
  all[4].wanted = [] { return false; };           // gone before it began
  return all;
}

TEST(Together, GivesWhatEachGivesAlone) {
  for (const char* name : {"llama-q4_0", "qwen3-f32"}) {
    const auto frozen = freeze_golden(name);
    handler::FunctionOptions options;
    options.threads = 2;
    options.engine.chunk_tokens = 16;
    auto function = handler::Function::open(system_files(), frozen->path, options);
    ASSERT_TRUE(function.has_value()) << function.error().message;
    Generator& generator = (*function)->generator();
    const std::vector<GenerationRequest> all = requests(generator.context_tokens());
    std::vector<Told> alone(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      add(alone[i], generator.generate(all[i], sink_of(alone[i])));
    }
    EXPECT_NE(alone[2].error, "");
    EXPECT_EQ(alone[4].finish_reason, FinishReason::kCancelled);
    EXPECT_GT(alone[6].tokens.size(), 10u);
    std::vector<Told> together(all.size());
    std::vector<Generator::Job> jobs;
    for (std::size_t i = 0; i < all.size(); ++i) jobs.push_back({&all[i], sink_of(together[i])});
    const auto results = generator.generate_all(jobs);
    ASSERT_EQ(results.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      add(together[i], results[i]);
      EXPECT_TRUE(together[i] == alone[i]) << name << ", request " << i;
    }
    EXPECT_EQ((*function)->engine().kv_lent_bytes(), 0u);
  }
}

TEST(Together, OneThatPassesALimitLeavesTheOthers) {
  const auto frozen = freeze_golden("llama-q4_0");
  handler::FunctionOptions options;
  options.threads = 1;
  auto function = handler::Function::open(system_files(), frozen->path, options);
  ASSERT_TRUE(function.has_value()) << function.error().message;
  GenerationRequest request;
  request.prompt = "hello";
  request.max_tokens = 4;
  std::vector<Told> told(4);
  std::vector<Generator::Job> jobs;
  for (Told& one : told) jobs.push_back({&request, sink_of(one)});
  ASSERT_TRUE((*function)->generator().generate_all(jobs).front().has_value());
  // A KV cache with room for two of the four.
  const std::size_t block = [&] {
    auto session = (*function)->engine().new_session();
    EXPECT_TRUE(session->reserve(1).has_value());
    return (*function)->engine().kv_lent_bytes();
  }();
  options.engine.kv_bytes_max = 2 * block;
  auto small = handler::Function::open(system_files(), frozen->path, options);
  ASSERT_TRUE(small.has_value());
  const auto results = (*small)->generator().generate_all(jobs);
  const auto good = std::count_if(results.begin(), results.end(),
                                  [](const auto& result) { return result.has_value(); });
  EXPECT_EQ(good, 2);
  for (const auto& result : results) {
    EXPECT_TRUE(result.has_value() || result.error().code == Code::kLimit);
  }
}

}  // namespace
}  // namespace thaw::golden
