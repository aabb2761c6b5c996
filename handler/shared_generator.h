// Many requests on one engine: callers block on their own threads while the sequences of all of
// them are stepped together, in one batch on one thread pool. For loops that have several
// invocations in flight; one that has a single one at a time uses its ModelGenerator directly, and
// pays for none of this.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "handler/gate.h"
#include "handler/generator.h"
#include "handler/model_generator.h"

namespace thaw::handler {

struct SharedOptions {
  // Sequences stepped together. Each has a KV cache of its own; more of them give each fewer tokens
  // a second once arithmetic, not memory, is what a step waits for.
  std::uint32_t active_max = 8;
  // Calls that wait for their turn behind as many calls as may be active; one more is refused.
  std::uint32_t waiting_max = 64;
  // Pieces that wait for their caller. Beyond it that sequence rests, so that a client who reads
  // slowly costs a bounded amount of memory. A piece is a token's text, more or less.
  std::uint32_t pieces_max = 1024;
};

// Thread-safe. As a Gate it is closed while one more call would be refused.
//
// A resting sequence gives its turn away: as many as active_max may rest beside those that are
// stepped, so that readers who stopped reading don't keep others waiting.
class SharedGenerator final : public Generator, public Gate {
 public:
  // Everything is borrowed, and nobody else uses the model while this lives. Starts one thread.
  // Errors: kInvalid      an option that is 0
  //         kUnavailable  no thread could be had
  static Result<std::unique_ptr<SharedGenerator>> start(ModelGenerator& model, Clock& clock,
                                                        const SharedOptions& options = {});
  // Precondition: no call is in progress.
  ~SharedGenerator() override;

  // As ModelGenerator's, bit for bit. `sink` and request.wanted are called on the caller's thread,
  // which may block in them for as long as it likes; a caller who wants no more, or whose
  // request.wanted says no, has its sequence ended within a step. request.wanted is asked after
  // each step, and now and then where none comes.
  // Errors: as ModelGenerator's, and kUnavailable where too many wait already
  Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) override;
  // Its jobs are one call, and take their turns one by one.
  std::vector<Result<Generation>> generate_all(std::span<const Job> jobs) override;
  std::string_view model_name() const override { return model_.model_name(); }
  std::uint32_t context_tokens() const override { return model_.context_tokens(); }

  std::optional<Closed> closed() const override;
  std::vector<Gauge> gauges() const override;

  struct Load {
    std::uint32_t calls = 0;    // in progress, whatever they do
    std::uint32_t active = 0;   // sequences that are stepped
    std::uint32_t resting = 0;  // whose callers are slow
    std::uint32_t waiting = 0;  // for their turn
  };
  Load load() const;

 private:
  struct Slot;
  struct Call;
  class Attendance;

  SharedGenerator(ModelGenerator& model, Clock& clock, const SharedOptions& options)
      : model_(model), clock_(clock), options_(options) {}

  Result<Done> enter();
  void leave();
  // The caller's side.
  void submit(Call& call);
  bool deliver(Call& call);
  std::chrono::nanoseconds ask(Call& call);
  void refuse(Slot& slot);
  bool withdraw(Slot& slot);
  void nudge();
  // The stepping thread's.
  void work();
  bool gather();
  void choose_turns();
  Slot* next_waiting();
  void begin(Slot& slot);
  void step();
  void retire(Slot& slot, Result<Generation> result);

  ModelGenerator& model_;
  Clock& clock_;
  const SharedOptions options_;

  mutable std::mutex mutex_;  // guards what follows, up to the thread
  std::condition_variable work_;
  std::deque<Slot*> waiting_;
  std::uint32_t calls_ = 0;
  std::uint32_t active_ = 0, resting_ = 0;  // as of the last step
  bool nudged_ = false;                     // something changed for a thread that found no work
  bool stopping_ = false;

  // The stepping thread's own: what has begun, and what of it takes the next step.
  std::vector<Slot*> open_, turn_;
  std::vector<Sequence*> sequences_;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace thaw::handler
