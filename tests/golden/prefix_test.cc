// A restored prefix gives the bits that computing it gives: whole or in part, whatever its length,
// the chunks, the threads, the set that made it and the set that uses it.

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/str.h"
#include "handler/model/prefix.h"
#include "tests/golden/golden.h"

namespace thaw::golden {
namespace {

using model::Token;

constexpr std::uint64_t kSeed = 17;
constexpr std::uint32_t kAfter = 5;  // tokens evaluated after a prefix
// Around panels of 16, blocks of 64, and chunks of 7 and 64; the last two are stored lengths.
constexpr std::uint32_t kLengths[] = {1, 15, 16, 37, 63, 64, 65, 70, 100, 128, 150};
constexpr std::uint32_t kStored[] = {70, 150};

constexpr const char* kModels[] = {"llama-q4_1", "qwen2-f32", "qwen3-q6_k",
                                   "llama-partial-rope-f32"};

std::vector<Token> random_tokens(std::size_t count) {
  Random random(kSeed);
  std::vector<Token> tokens(count);
  for (Token& token : tokens) token = static_cast<Token>(random.below(256));
  return tokens;
}

// Prefixes of the same run of tokens, as long as it has them, computed by the set of this name.
freeze::FreezeOptions with_prefixes(std::span<const Token> tokens, std::string_view kernels) {
  freeze::FreezeOptions options;
  options.kernels = kernels;
  for (const std::uint32_t count : kStored) {
    if (count > tokens.size()) continue;
    const auto some = tokens.first(count);
    options.prefixes.push_back(
        {cat("of", count), "x", std::vector<Token>(some.begin(), some.end())});
  }
  return options;
}

class RestoredPrefix : public testing::TestWithParam<const char*> {};

// The logits of `rest`, after a session has been given its first tokens.
std::vector<float> evaluate_rest(model::Engine& engine, model::Session& session,
                                 std::span<const Token> rest) {
  std::vector<float> logits;
  const model::BatchItem item{&session, rest, model::LogitsWanted::kAll};
  const auto done = engine.forward(std::span(&item, 1),
                                   [&](std::size_t, std::size_t, std::span<const float> row) {
                                     logits.insert(logits.end(), row.begin(), row.end());
                                     return Result<Done>(Done{});
                                   });
  EXPECT_TRUE(done.has_value());
  return logits;
}

TEST_P(RestoredPrefix, GivesTheBitsOfComputingIt) {
  SCOPED_TRACE(cat("seed ", kSeed));
  const std::vector<Token> tokens = random_tokens(150 + kAfter);
  const auto frozen = freeze_golden(GetParam(), with_prefixes(tokens, ""));
  const auto prefixes = model::Prefixes::open(*frozen->reader, frozen->plan);
  ASSERT_TRUE(prefixes) << prefixes.error().message;
  ASSERT_EQ(prefixes->all().size(), std::size(kStored));
  const auto want = evaluate(frozen->plan, **kernels::select(""), 1, 512, tokens);
  const std::size_t width = frozen->plan.config.vocabulary;
  const std::pair<unsigned, std::uint32_t> ways[] = {{1, 7}, {2, 64}, {3, 512}};
  // Each set meets every way, on other lengths than the next set.
  std::size_t turn = 0;
  for (const kernels::KernelSet* set : all_sets()) {
    ++turn;
    for (std::size_t way = 0; way < std::size(ways); ++way) {
      const auto [threads, chunk] = ways[way];
      ThreadPool pool(threads);
      model::EngineOptions options;
      options.chunk_tokens = chunk;
      model::Engine engine(frozen->plan, *set, pool, options);
      for (std::size_t i = (turn + way) % std::size(ways); i < std::size(kLengths);
           i += std::size(ways)) {
        const std::uint32_t length = kLengths[i];
        const auto match = prefixes->longest(std::span(tokens).first(length));
        ASSERT_EQ(match.tokens, length);
        const auto session = engine.new_session();
        session->restore(match.prefix->kv, match.tokens);
        const auto rest = std::span(tokens).subspan(length, kAfter);
        EXPECT_TRUE(same_bits(evaluate_rest(engine, *session, rest),
                              std::span(want).subspan(length * width, kAfter * width)))
            << set->name << ", " << threads << " threads, chunk " << chunk << ", " << length
            << " tokens of " << match.prefix->name;
      }
    }
  }
}

// Every set computes the same bytes, so where a snapshot was frozen does not matter.
TEST_P(RestoredPrefix, IsTheSameBytesWhicheverSetMadeIt) {
  const std::vector<Token> tokens = random_tokens(70);
  std::string first;
  for (const kernels::KernelSet* set : kernels::available()) {
    const auto frozen = freeze_golden(GetParam(), with_prefixes(tokens, set->name));
    const auto bytes = read_text(system_files(), frozen->path, 64 << 20);
    ASSERT_TRUE(bytes);
    if (first.empty()) first = *bytes;
    EXPECT_TRUE(first == *bytes) << set->name;
  }
}

// Sessions in one batch, each with another share of one prefix, and one without.
TEST_P(RestoredPrefix, IsSharedByTheSessionsOfABatch) {
  const std::vector<Token> tokens = random_tokens(150 + kAfter);
  const auto frozen = freeze_golden(GetParam(), with_prefixes(tokens, ""));
  const auto prefixes = model::Prefixes::open(*frozen->reader, frozen->plan);
  ASSERT_TRUE(prefixes);
  const auto& set = **kernels::select("");
  const auto want = evaluate(frozen->plan, set, 1, 512, tokens);
  const std::size_t width = frozen->plan.config.vocabulary;
  ThreadPool pool(2);
  model::EngineOptions options;
  options.chunk_tokens = 13;
  model::Engine engine(frozen->plan, set, pool, options);
  const std::uint32_t shares[] = {150, 100, 64, 37, 0};
  std::vector<std::unique_ptr<model::Session>> sessions;
  std::vector<model::BatchItem> batch;
  for (const std::uint32_t share : shares) {
    sessions.push_back(engine.new_session());
    sessions.back()->restore(prefixes->find("of150")->kv, share);
    batch.push_back({sessions.back().get(), std::span(tokens).subspan(share, kAfter),
                     model::LogitsWanted::kAll});
  }
  const std::size_t whole_blocks = 2 + 1 + 1 + 0 + 0;  // of the shares, used where they lie
  std::size_t blocks = 0;
  for (const std::uint32_t share : shares) blocks += (share + kAfter + 63) / 64;
  const auto done =
      engine.forward(batch, [&](std::size_t item, std::size_t index, std::span<const float> row) {
        const std::size_t position = shares[item] + index;
        EXPECT_TRUE(same_bits(row, std::span(want).subspan(position * width, width)))
            << "session " << item << ", position " << position;
        return Result<Done>(Done{});
      });
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(engine.kv_lent_bytes(), (blocks - whole_blocks) * frozen->plan.kv_block_bytes());
  sessions.clear();
  EXPECT_EQ(engine.kv_lent_bytes(), 0u);
  // The map is as it was: a session after them all gets the same.
  const auto session = engine.new_session();
  session->restore(prefixes->find("of70")->kv, 70);
  EXPECT_TRUE(same_bits(evaluate_rest(engine, *session, std::span(tokens).subspan(70, kAfter)),
                        std::span(want).subspan(70 * width, kAfter * width)));
  EXPECT_TRUE(frozen->reader->verify());
}

INSTANTIATE_TEST_SUITE_P(Models, RestoredPrefix, testing::ValuesIn(kModels), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(RestoredPrefixContext, ALongerPromptThanTheContextIsRefusedWithAPrefixToo) {
  const std::vector<Token> tokens = random_tokens(513);
  const auto frozen = freeze_golden("llama-f32", with_prefixes(tokens, ""));
  const auto prefixes = model::Prefixes::open(*frozen->reader, frozen->plan);
  ASSERT_TRUE(prefixes);
  ThreadPool pool(1);
  model::Engine engine(frozen->plan, **kernels::select(""), pool, {});
  const auto session = engine.new_session();
  session->restore(prefixes->find("of150")->kv, 150);
  const model::LogitsSink ignore = [](auto, auto, auto) { return Result<Done>(Done{}); };
  const model::BatchItem over{session.get(), std::span(tokens).subspan(150, 363)};
  const auto refused = engine.forward(std::span(&over, 1), ignore);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
  EXPECT_EQ(session->position(), 150u);
  const model::BatchItem full{session.get(), std::span(tokens).subspan(150, 362)};
  EXPECT_TRUE(engine.forward(std::span(&full, 1), ignore));
}

}  // namespace
}  // namespace thaw::golden
