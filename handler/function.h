// A function, thawed: a snapshot opened and everything in it ready to answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "handler/generator.h"
#include "handler/manifest.h"
#include "handler/model/engine.h"
#include "handler/model/prefix.h"
#include "handler/shared_generator.h"
#include "handler/text/tokenizer.h"
#include "snapshot/reader.h"
#include "snapshot/supply.h"

namespace thaw::handler {

struct FunctionOptions {
  std::string kernels;          // a kernel set's name; empty: the best
  unsigned threads = 0;         // 0: usable_processors()
  model::EngineOptions engine;  // its supply is made by open()
  snapshot::Verify verify = snapshot::Verify::kLazy;
  snapshot::Paging paging = snapshot::Paging::kMap;
  // When the launcher started this process, if it said so, and when our first instruction ran;
  // absent: open() is the start.
  std::optional<Clock::Monotonic> launched, entered;
};

// One thread at a time, but for a shared generator. Views and references live as long as it does.
class Function {
 public:
  static constexpr std::uint64_t kOwnBytes = 32u << 20;  // at most, before any KV
  // Errors: those of snapshot::Reader::open and model::Plan::make; kNotFound: a section is missing;
  // kUnsupported: the kernel set.
  static Result<std::unique_ptr<Function>> open(Files& files, const std::string& path,
                                                const FunctionOptions& options);
  ~Function();
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  // Shared, and so thread-safe, once share() was called.
  Generator& generator();
  // For loops with several invocations in flight: once, before the first of them. The function owns
  // it. Errors: as SharedGenerator::start().
  Result<SharedGenerator*> share(const SharedOptions& options);
  const Manifest& manifest() const;
  const text::Tokenizer& tokenizer() const;
  const model::Prefixes& prefixes() const;
  model::Engine& engine();
  ThreadPool& pool();
  const kernels::KernelSet& kernels() const;
  const snapshot::Reader& reader() const;
  snapshot::Supply& supply();
  const StartTimes& start() const;

  // This copy of the process goes on from a snapshot of its memory. What an answer says of the
  // start is counted from here. Nothing else need be made anew: seeds come from requests' ids.
  // Errors: kIo, kCorrupt: the file under the map is not there as it was.
  Result<Done> restored(Clock& clock);

  // Bytes that an instance wants: the snapshot in the page cache, and memory of its own for an
  // invocation whose KV cache takes `kv_tokens`.
  std::uint64_t memory_wanted(std::uint32_t kv_tokens) const;
  // One line where `limit` is less than that for a prompt of kKvBlockPositions; else empty.
  std::string memory_warning(std::uint64_t limit) const;

 private:
  Function();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw::handler
