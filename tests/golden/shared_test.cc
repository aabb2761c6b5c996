// Many callers on one engine: each gets what it would get alone, none waits for a slow one, and
// everything that can grow has its limit.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <new>
#include <thread>

#include "base/random.h"
#include "handler/function.h"
#include "tests/golden/golden.h"

namespace thaw::golden {
namespace {

using handler::FinishReason;
using handler::Generation;
using handler::GenerationRequest;
using handler::SharedGenerator;
using handler::SharedOptions;
using handler::TextPiece;

struct Told {
  std::string text;
  std::vector<double> logprobs;
  std::string error;
  std::vector<text::Token> tokens;
  FinishReason finish_reason = FinishReason::kStop;
  std::uint32_t prompt_tokens = 0, completion_tokens = 0;
  bool operator==(const Told&) const = default;
};

Told tell(handler::Generator& generator, const GenerationRequest& request) {
  Told told;
  const auto result = generator.generate(request, [&](const TextPiece& piece) {
    EXPECT_NE(piece.so_far, nullptr);
    told.text += piece.text;
    for (const handler::ScoredToken& token : piece.tokens) {
      told.logprobs.push_back(token.chosen.logprob);
      for (const handler::TokenScore& top : token.top) told.logprobs.push_back(top.logprob);
    }
    return true;
  });
  if (!result) {
    told.error = result.error().message;
    return told;
  }
  told.tokens = result->tokens;
  told.finish_reason = result->finish_reason;
  told.prompt_tokens = result->usage.prompt_tokens;
  told.completion_tokens = result->usage.completion_tokens;
  return told;
}

GenerationRequest request_for(std::uint32_t tokens, std::string prompt = "hello") {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 7;
  return request;
}

std::vector<GenerationRequest> various(std::uint32_t context) {
  std::vector<GenerationRequest> all;
  for (std::uint32_t i = 0; i < 12; ++i) {
    // Lengths from a few tokens to several chunks.
    std::string prompt;
    for (std::uint32_t n = 0; n < 1 + 9 * i; ++n) {
      prompt += static_cast<char>('a' + (n * 7 + i) % 26);
    }
    GenerationRequest request = request_for(3 + 5 * i, std::move(prompt));
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.9f;
    request.sampling.seed = 100 + i;
    request.logprobs = i % 3 == 0;
    request.top_logprobs = i % 5;
    all.push_back(std::move(request));
  }
  all[2].prompt = std::string(std::size_t{4} * context, 'x');  // fits no context
  all[5].prompt = std::string();                               // nothing to evaluate
  return all;
}

// A tiny model, opened, and shared once a test says how.
class Shared : public testing::Test {
 protected:
  void open(const char* name, std::uint32_t chunk = 16) {
    function_.reset();
    frozen_ = freeze_golden(name);
    handler::FunctionOptions options;
    options.threads = 2;
    options.engine.chunk_tokens = chunk;
    auto function = handler::Function::open(system_files(), frozen_->path, options);
    ASSERT_TRUE(function.has_value()) << function.error().message;
    function_ = std::move(*function);
  }
  SharedGenerator& share(const SharedOptions& options) {
    auto shared = function_->share(options);
    EXPECT_TRUE(shared.has_value());
    return **shared;
  }
  // Waits until `holds` of the load. The test's own time limit is what ends a wait for ever.
  template <class Holds>
  void await(const SharedGenerator& shared, Holds holds) {
    while (!holds(shared.load())) std::this_thread::yield();
  }
  void TearDown() override { EXPECT_EQ(function_->engine().kv_lent_bytes(), 0u); }

  std::unique_ptr<Frozen> frozen_;
  std::unique_ptr<handler::Function> function_;
};

TEST_F(Shared, GivesEachCallerWhatItGetsAlone) {
  for (const char* name : {"llama-q4_0", "qwen3-f32"}) {
    open(name);
    const auto all = various(function_->generator().context_tokens());
    std::vector<Told> alone;
    for (const GenerationRequest& request : all) {
      alone.push_back(tell(function_->generator(), request));
    }
    EXPECT_NE(alone[2].error, "");
    EXPECT_NE(alone[5].error, "");
    EXPECT_GT(alone[11].tokens.size(), 10u);
    SharedOptions options;
    options.active_max = 4;
    options.pieces_max = 3;
    SharedGenerator& shared = share(options);
    EXPECT_EQ(&function_->generator(), &shared);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::future<Told>> callers;
      for (const GenerationRequest& request : all) {
        callers.push_back(std::async(std::launch::async, [&] { return tell(shared, request); }));
      }
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(callers[i].get() == alone[i]) << name << ", request " << i;
      }
    }
    EXPECT_EQ(shared.load().calls, 0u);
  }
}

TEST_F(Shared, GivesTheJobsOfOneCallTheirResultsInOrder) {
  open("llama-q4_0");
  const auto all = various(function_->generator().context_tokens());
  std::vector<Told> alone;
  for (const GenerationRequest& request : all) {
    alone.push_back(tell(function_->generator(), request));
  }
  SharedGenerator& shared = share({.active_max = 2, .waiting_max = 1});
  std::vector<std::string> texts(all.size());
  std::vector<handler::Generator::Job> jobs;
  for (std::size_t i = 0; i < all.size(); ++i) {
    jobs.push_back({&all[i], [&texts, i](const TextPiece& piece) {
                      texts[i] += piece.text;
                      return true;
                    }});
  }
  const auto results = shared.generate_all(jobs);
  ASSERT_EQ(results.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(texts[i], alone[i].text) << i;
    EXPECT_EQ(results[i] ? results[i]->tokens : std::vector<text::Token>(), alone[i].tokens) << i;
    EXPECT_EQ(results[i] ? std::string() : results[i].error().message, alone[i].error) << i;
  }
}

TEST_F(Shared, ASlowCallerKeepsNobodyWaiting) {
  open("llama-q4_0");
  SharedGenerator& shared = share({.active_max = 2, .waiting_max = 8, .pieces_max = 2});
  const Told alone = tell(shared, request_for(60));
  ASSERT_GT(alone.tokens.size(), 20u);
  // As many as may be active stop reading at their first piece.
  std::latch stuck(2);
  std::promise<void> go;
  const std::shared_future<void> gone(go.get_future());
  std::vector<std::future<Told>> slow;
  for (int i = 0; i < 2; ++i) {
    slow.push_back(std::async(std::launch::async, [&] {
      Told told;
      bool first = true;
      const auto result = shared.generate(request_for(60), [&](const TextPiece& piece) {
        if (std::exchange(first, false)) {
          stuck.count_down();
          gone.wait();
        }
        told.text += piece.text;
        return true;
      });
      EXPECT_TRUE(result.has_value());
      if (result) told.tokens = result->tokens;
      return told;
    }));
  }
  stuck.wait();
  await(shared, [](const auto& load) { return load.resting == 2; });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tell(shared, request_for(60)) == alone);
  EXPECT_EQ(shared.load().resting, 2u);
  go.set_value();
  for (auto& each : slow) {
    const Told told = each.get();
    EXPECT_EQ(told.text, alone.text);
    EXPECT_EQ(told.tokens, alone.tokens);
  }
}

TEST_F(Shared, EndsWithinATokenOfTheCallersNo) {
  open("llama-q4_0");
  SharedGenerator& shared = share({.active_max = 2, .waiting_max = 2, .pieces_max = 1});
  const Told whole = tell(shared, request_for(100));
  ASSERT_GT(whole.tokens.size(), 50u);
  // By its sink. With one piece waiting and one on the way, two more tokens may have been begun.
  int pieces = 0;
  const auto by_sink =
      shared.generate(request_for(100), [&](const TextPiece&) { return ++pieces < 5; });
  ASSERT_TRUE(by_sink.has_value());
  EXPECT_EQ(pieces, 5);
  EXPECT_EQ(by_sink->finish_reason, FinishReason::kCancelled);
  EXPECT_LT(by_sink->tokens.size(), 5u + 5u);
  // By `wanted`, in the middle of a prompt of many chunks: not a token.
  GenerationRequest gone = request_for(100, std::string(400, 'y'));
  int asked = 0;
  gone.wanted = [&] { return ++asked < 3; };
  const auto by_wanted = shared.generate(gone, [](const TextPiece&) { return true; });
  ASSERT_TRUE(by_wanted.has_value());
  EXPECT_EQ(by_wanted->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(asked, 3);
  EXPECT_LT(by_wanted->tokens.size(), 100u);
  EXPECT_TRUE(tell(shared, request_for(100)) == whole);
}

// Stands still at its first piece, until told to go on.
class Holder {
 public:
  explicit Holder(SharedGenerator& shared) {
    call_ = std::async(std::launch::async, [this, &shared] {
      return shared.generate(request_for(400), [this](const TextPiece&) {
        if (!std::exchange(held_, true)) {
          holding_.count_down();
          go_.get_future().wait();
        }
        return false;
      });
    });
    holding_.wait();
  }
  ~Holder() { release(); }
  void release() {
    if (!call_.valid()) return;
    go_.set_value();
    EXPECT_TRUE(call_.get().has_value());
  }

 private:
  std::latch holding_{1};
  bool held_ = false;
  std::promise<void> go_;
  std::future<Result<Generation>> call_;
};

TEST_F(Shared, RefusesWhatIsBeyondItsLimits) {
  open("llama-q4_0");
  SharedGenerator& shared = share({.active_max = 1, .waiting_max = 1, .pieces_max = 1});
  EXPECT_FALSE(shared.closed().has_value());
  // One that holds a turn while it rests, another beside it, as restings' turns are given away.
  Holder first(shared), second(shared);
  const auto closed = shared.closed();
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(closed->code, "overloaded");
  const auto refused = shared.generate(request_for(1), [](const TextPiece&) { return true; });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("2 requests"), std::string::npos);
  first.release();
  EXPECT_FALSE(shared.closed().has_value());
  EXPECT_EQ(tell(shared, request_for(3)).tokens.size(), 3u);
}

TEST_F(Shared, WhatWaitsForItsTurnCanLeaveAndKeepsItsDeadline) {
  open("llama-q4_0");
  SharedGenerator& shared = share({.active_max = 1, .waiting_max = 4, .pieces_max = 1});
  Holder first(shared), second(shared);  // as many as may be open
  std::atomic<bool> wanted{true};
  GenerationRequest leaving = request_for(10);
  leaving.wanted = [&] { return wanted.load(); };
  auto left = std::async(std::launch::async, [&] {
    return shared.generate(leaving, [](const TextPiece&) { return true; });
  });
  GenerationRequest late = request_for(10);
  late.deadline = system_clock().now() + std::chrono::milliseconds(30);
  const auto out_of_time = shared.generate(late, [](const TextPiece&) { return true; });
  ASSERT_TRUE(out_of_time.has_value());
  EXPECT_EQ(out_of_time->finish_reason, FinishReason::kDeadline);
  EXPECT_GT(out_of_time->usage.prompt_tokens, 0u);
  EXPECT_TRUE(out_of_time->tokens.empty());
  await(shared, [](const auto& load) { return load.waiting == 1; });
  wanted = false;
  const auto cancelled = left.get();
  ASSERT_TRUE(cancelled.has_value());
  EXPECT_EQ(cancelled->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(shared.load().waiting, 0u);
}

TEST_F(Shared, ACallerThatRunsOutOfMemoryLeavesNothingBehind) {
  open("llama-q4_0");
  SharedGenerator& shared = share({.active_max = 1, .waiting_max = 1});
  EXPECT_THROW((void)shared.generate(request_for(400),
                                     [](const TextPiece&) -> bool { throw std::bad_alloc(); }),
               std::bad_alloc);
  EXPECT_EQ(shared.load().calls, 0u);
  EXPECT_EQ(tell(shared, request_for(3)).tokens.size(), 3u);
}

TEST_F(Shared, RefusesLimitsOfNothing) {
  open("llama-q4_0");
  for (const SharedOptions& options :
       {SharedOptions{.active_max = 0}, SharedOptions{.waiting_max = 0},
        SharedOptions{.pieces_max = 0}}) {
    const auto shared = function_->share(options);
    ASSERT_FALSE(shared.has_value());
    EXPECT_EQ(shared.error().code, Code::kInvalid);
  }
}

// Callers who come, leave in the middle, read slowly or wait too long, at random; each that is
// whole is exactly what it is alone.
TEST_F(Shared, HoldsUnderCallersWhoComeAndGo) {
  const std::uint64_t seed = 20'261'122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  open("llama-q4_0", 32);
  const std::vector<GenerationRequest> all = various(function_->generator().context_tokens());
  std::vector<Told> alone;
  for (const GenerationRequest& request : all) {
    alone.push_back(tell(function_->generator(), request));
  }
  SharedGenerator& shared = share({.active_max = 3, .waiting_max = 2, .pieces_max = 2});
  std::atomic<int> whole{0}, refused{0}, cut{0};
  std::vector<std::thread> callers;
  for (std::uint64_t caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      Random random(seed + caller);
      for (int n = 0; n < 25; ++n) {
        const std::size_t which = random.below(all.size());
        GenerationRequest request = all[which];
        std::uint64_t leaves_after = random.below(3) == 0 ? random.below(10) : UINT64_MAX;
        const bool is_slow = random.below(4) == 0;
        if (random.below(8) == 0) {
          request.deadline = system_clock().now() + std::chrono::microseconds(random.below(40'000));
        }
        std::string text;
        const auto result = shared.generate(request, [&](const TextPiece& piece) {
          if (is_slow) std::this_thread::sleep_for(std::chrono::microseconds(300));
          text += piece.text;
          return leaves_after-- > 0;
        });
        if (!result) {
          const bool is_busy = result.error().code == Code::kUnavailable;
          EXPECT_TRUE(is_busy || result.error().message == alone[which].error);
          ++refused;
        } else if (result->finish_reason == FinishReason::kCancelled ||
                   result->finish_reason == FinishReason::kDeadline) {
          // Half a character at the cut is told as U+FFFD, where the whole answer goes on.
          std::string_view sure = text;
          if (sure.ends_with("\xEF\xBF\xBD")) sure.remove_suffix(3);
          EXPECT_TRUE(alone[which].text.starts_with(sure)) << which;
          ASSERT_LE(result->tokens.size(), alone[which].tokens.size()) << which;
          EXPECT_TRUE(
              std::equal(result->tokens.begin(), result->tokens.end(), alone[which].tokens.begin()))
              << which;
          ++cut;
        } else {
          EXPECT_EQ(text, alone[which].text) << which;
          EXPECT_EQ(result->tokens, alone[which].tokens) << which;
          ++whole;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(whole + refused + cut, 200);
  EXPECT_GT(whole, 0);
  const SharedGenerator::Load left = shared.load();
  EXPECT_EQ(left.calls + left.waiting, 0u);
}

}  // namespace
}  // namespace thaw::golden
