#include "handler/model/engine.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/golden/golden.h"

namespace thaw::model {
namespace {

const LogitsSink kIgnore = [](std::size_t, std::size_t, std::span<const float>) {
  return Result<Done>(Done{});
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : frozen_(golden::freeze_golden("llama-f32")), pool_(2) {
    expected_ = golden::read_expected("llama-f32");
  }

  Result<Done> forward(Engine& engine, Session& session, std::span<const Token> tokens,
                       LogitsWanted wanted = LogitsWanted::kNone) {
    const BatchItem item{&session, tokens, wanted};
    return engine.forward(std::span(&item, 1), kIgnore);
  }

  static LogitsSink keep(std::vector<float>& to) {
    return [&to](std::size_t, std::size_t, std::span<const float> row) {
      to.assign(row.begin(), row.end());
      return Result<Done>(Done{});
    };
  }

  std::unique_ptr<golden::Frozen> frozen_;
  golden::Expected expected_;
  ThreadPool pool_;
};

TEST_F(EngineTest, RefusesATokenThatIsNotInTheVocabulary) {
  Engine engine(frozen_->plan, **kernels::select(""), pool_, {});
  const auto session = engine.new_session();
  const Token tokens[] = {1, 2, frozen_->plan.config.vocabulary};
  const auto done = forward(engine, *session, tokens);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kInvalid);
  EXPECT_EQ(session->position(), 0u);
  EXPECT_EQ(engine.kv_lent_bytes(), 0u);
}

TEST_F(EngineTest, RefusesToPassTheContextAndSaysBothLengths) {
  Engine engine(frozen_->plan, **kernels::select(""), pool_, {});
  const auto session = engine.new_session();
  const std::vector<Token> tokens(frozen_->plan.config.context_tokens, 1);
  ASSERT_TRUE(forward(engine, *session, tokens));
  const auto done = forward(engine, *session, std::span(tokens).first(1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kLimit);
  EXPECT_NE(done.error().message.find("513"), std::string::npos);
  EXPECT_NE(done.error().message.find("512"), std::string::npos);
}

TEST_F(EngineTest, KeepsEverySessionWhenTheKvCacheIsFull) {
  EngineOptions options;
  options.kv_bytes_max = 3 * frozen_->plan.kv_block_bytes();
  Engine engine(frozen_->plan, **kernels::select(""), pool_, options);
  const auto a = engine.new_session();
  const auto b = engine.new_session();
  const std::vector<Token> tokens(100, 1);
  const BatchItem items[] = {{a.get(), tokens, LogitsWanted::kNone},
                             {b.get(), tokens, LogitsWanted::kNone}};
  const auto done = engine.forward(items, kIgnore);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kLimit);
  EXPECT_EQ(a->position(), 0u);
  EXPECT_EQ(engine.kv_lent_bytes(), 0u);
  EXPECT_TRUE(forward(engine, *a, tokens));
}

TEST_F(EngineTest, StopsWithTheSinksError) {
  Engine engine(frozen_->plan, **kernels::select(""), pool_, {});
  const auto session = engine.new_session();
  const BatchItem item{session.get(), expected_.tokens, LogitsWanted::kAll};
  int calls = 0;
  const auto done = engine.forward(
      std::span(&item, 1), [&](std::size_t, std::size_t, std::span<const float>) -> Result<Done> {
        if (++calls == 3) return fail(Code::kCancelled, "enough");
        return Done{};
      });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
  EXPECT_EQ(calls, 3);
}

TEST_F(EngineTest, GoesOnAfterATruncationAsIfTheRestHadNeverBeen) {
  Engine engine(frozen_->plan, **kernels::select(""), pool_, {});
  const auto session = engine.new_session();
  const std::span<const Token> tokens = expected_.tokens;
  std::vector<float> straight, again;
  const BatchItem all{session.get(), tokens, LogitsWanted::kLast};
  ASSERT_TRUE(engine.forward(std::span(&all, 1), keep(straight)));
  session->truncate(10);
  const Token other[] = {5, 6, 7};
  ASSERT_TRUE(forward(engine, *session, other));
  session->truncate(10);
  const BatchItem rest{session.get(), tokens.subspan(10), LogitsWanted::kLast};
  ASSERT_TRUE(engine.forward(std::span(&rest, 1), keep(again)));
  ASSERT_EQ(straight.size(), again.size());
  EXPECT_EQ(std::memcmp(straight.data(), again.data(), straight.size() * sizeof(float)), 0);
}

TEST_F(EngineTest, NothingOfOneSessionReachesTheNext) {
  Engine engine(frozen_->plan, **kernels::select(""), pool_, {});
  std::vector<float> first, second;
  const std::vector<Token> noise(200, 7);
  for (std::vector<float>* logits : {&first, &second}) {
    const auto session = engine.new_session();
    const BatchItem item{session.get(), expected_.tokens, LogitsWanted::kLast};
    ASSERT_TRUE(engine.forward(std::span(&item, 1), keep(*logits)));
    const auto other = engine.new_session();
    ASSERT_TRUE(forward(engine, *other, noise));
  }
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(float)), 0);
}

TEST_F(EngineTest, ChunksFollowFromTheActivationBudget) {
  EngineOptions small;
  small.activation_bytes = 64 << 10;
  Engine tight(frozen_->plan, **kernels::select(""), pool_, small);
  Engine wide(frozen_->plan, **kernels::select(""), pool_, {});
  EXPECT_LT(tight.chunk_tokens(), wide.chunk_tokens());
  EXPECT_GE(tight.chunk_tokens(), 1u);
  EXPECT_LE(wide.chunk_tokens(), kChunkTokensMax);
}

}  // namespace
}  // namespace thaw::model
