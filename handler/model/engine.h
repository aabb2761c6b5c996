// Evaluates a model over batches of sequences. What it computes is kernels/ARITHMETIC.md; how it
// divides the work changes no bit of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/model/kv_cache.h"
#include "handler/model/plan.h"
#include "kernels/kernels.h"
#include "snapshot/supply.h"

namespace thaw::model {

using Token = std::uint32_t;

enum class LogitsWanted : unsigned char { kNone, kLast, kAll };

// Some tokens that go on with a session. A session appears at most once in a batch.
struct BatchItem {
  Session* session = nullptr;
  std::span<const Token> tokens;
  LogitsWanted logits = LogitsWanted::kLast;
};

// Called for each position whose logits are wanted, an item's positions in order: the item, the
// index of the token in it, logits [vocabulary] (valid during the call). An error ends forward().
using LogitsSink =
    std::function<Result<Done>(std::size_t item, std::size_t index, std::span<const float> logits)>;

struct EngineOptions {
  // What a chunk's activations may take; the chunk's length follows from it.
  std::size_t activation_bytes = std::size_t{12} << 20;
  std::uint32_t chunk_tokens = 0;  // forces the chunk's length; 0: from activation_bytes
  std::size_t kv_bytes_max = std::size_t{4} << 30;
  // Brings the weights in and checks them as they are used; outlives the engine. Null: they are
  // there, and sound.
  snapshot::Supply* supply = nullptr;
};

inline constexpr std::uint32_t kChunkTokensMax = 512;  // more gains no reuse of weights

// One thread at a time calls it; it uses the pool's threads. Plan, set and pool outlive it.
class Engine {
 public:
  Engine(const Plan& plan, const kernels::KernelSet& set, ThreadPool& pool,
         const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  std::unique_ptr<Session> new_session();

  // Evaluates every item's tokens at its session's next positions.
  // Errors: kInvalid  a token that is not in the vocabulary
  //         kLimit    a session would pass context_tokens, or the KV cache its limit
  //         whatever the sink returns
  //         kCorrupt, kIo  what Supply::settle() says of the bytes that were used
  // After kInvalid and kLimit the sessions are as they were; after the sink's errors they hold what
  // was evaluated until then.
  Result<Done> forward(std::span<const BatchItem> items, const LogitsSink& sink);

  // How long each thread waited for weights so far, on average.
  std::chrono::nanoseconds waited() const {
    if (supply_ == nullptr) return std::chrono::nanoseconds(0);
    return supply_->counts().waited / pool_.threads();
  }
  // Whether everything that results came from is still sound: to be asked again before text that
  // comes from other parts of the snapshot is told. Errors: as Supply::settle().
  Result<Done> intact() {
    if (supply_ == nullptr) return Done{};
    return supply_->settle(&pool_);
  }

  const Plan& plan() const { return plan_; }
  std::uint32_t chunk_tokens() const { return chunk_tokens_; }
  std::size_t kv_lent_bytes() const { return kv_.lent_bytes(); }

 private:
  friend class ChunkPass;
  struct Scratch;

  const Plan& plan_;
  const kernels::KernelSet& set_;
  ThreadPool& pool_;
  KvPool kv_;
  std::uint32_t chunk_tokens_;
  snapshot::Supply* supply_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace thaw::model
