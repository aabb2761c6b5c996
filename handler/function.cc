#include "handler/function.h"

#include <optional>

#include "base/str.h"
#include "handler/model_generator.h"
#include "snapshot/reader.h"

namespace thaw::handler {

using snapshot::SectionType;

struct Function::State {
  std::unique_ptr<snapshot::Reader> reader;
  std::unique_ptr<snapshot::Supply> supply;
  Manifest manifest;
  model::Plan plan;
  model::Prefixes prefixes;
  std::optional<text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplate> chat;
  const kernels::KernelSet* set = nullptr;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<model::Engine> engine;
  std::unique_ptr<ModelGenerator> generator;
  std::unique_ptr<SharedGenerator> shared;
  StartTimes start;
};

Function::Function() : state_(std::make_unique<State>()) {}
Function::~Function() {
  if (state_->supply != nullptr) state_->supply->begin_use();  // the pool ends sooner
}

Result<std::unique_ptr<Function>> Function::open(Files& files, const std::string& path,
                                                 const FunctionOptions& options) {
  Clock& clock = system_clock();
  auto function = std::unique_ptr<Function>(new Function);
  State& state = *function->state_;
  auto at = clock.now();
  const Clock::Monotonic entered = options.entered.value_or(at);
  // A launcher's stamp that lies ahead is of another clock.
  state.start.from_launcher = options.launched && *options.launched <= entered;
  state.start.origin = state.start.from_launcher ? *options.launched : entered;
  state.start.exec = at - state.start.origin;
  const auto lap = [&](std::chrono::nanoseconds& phase) {
    const auto now = clock.now();
    phase = now - at;
    at = now;
  };
  THAW_TRY(reader, snapshot::Reader::open(files, path));
  state.reader = std::move(reader);
  state.supply = std::make_unique<snapshot::Supply>(*state.reader, options.paging, options.verify);
  lap(state.start.map);

  const unsigned threads = options.threads == 0 ? usable_processors() : options.threads;
  state.pool = std::make_unique<ThreadPool>(std::min(threads, ThreadPool::kThreadsMax));
  THAW_TRY_DO(state.supply->check_opening(state.pool.get()));
  lap(state.start.verify);

  THAW_TRY(plan, model::Plan::make(*state.reader));
  state.plan = std::move(plan);
  THAW_TRY(prefixes, model::Prefixes::open(*state.reader, state.plan));
  state.prefixes = std::move(prefixes);
  lap(state.start.plan);

  THAW_TRY(manifest_bytes, state.reader->section(SectionType::kManifestBinary));
  THAW_TRY(manifest, read_manifest(manifest_bytes));
  state.manifest = std::move(manifest);
  THAW_TRY(tables, state.reader->section(SectionType::kTokenizer));
  THAW_TRY(tokenizer, text::Tokenizer::open(tables));
  if (tokenizer.vocabulary() > state.plan.config.vocabulary) {
    return fail(Code::kCorrupt,
                "open function: the tokenizer has more tokens than the model; "
                "freeze it anew");
  }
  state.tokenizer.emplace(std::move(tokenizer));
  if (const auto compiled = state.reader->section(SectionType::kTemplate)) {
    THAW_TRY(chat, text::ChatTemplate::open(*compiled));
    state.chat.emplace(std::move(chat));
  }
  lap(state.start.tokenizer);

  THAW_TRY(set, kernels::select(options.kernels));
  state.set = set;
  model::EngineOptions engine = options.engine;
  engine.supply = state.supply.get();
  state.engine = std::make_unique<model::Engine>(state.plan, *set, *state.pool, engine);
  state.generator =
      std::make_unique<ModelGenerator>(*state.engine, state.prefixes, *state.tokenizer,
                                       state.chat ? &*state.chat : nullptr, state.manifest, clock);
  lap(state.start.engine);
  state.generator->tell_start(state.start);
  return function;
}

Generator& Function::generator() {
  if (state_->shared != nullptr) return *state_->shared;
  return *state_->generator;
}

Result<SharedGenerator*> Function::share(const SharedOptions& options) {
  THAW_TRY(shared, SharedGenerator::start(*state_->generator, system_clock(), options));
  state_->shared = std::move(shared);
  return state_->shared.get();
}

const Manifest& Function::manifest() const { return state_->manifest; }
const text::Tokenizer& Function::tokenizer() const { return *state_->tokenizer; }
const model::Prefixes& Function::prefixes() const { return state_->prefixes; }
model::Engine& Function::engine() { return *state_->engine; }
ThreadPool& Function::pool() { return *state_->pool; }
const kernels::KernelSet& Function::kernels() const { return *state_->set; }
const snapshot::Reader& Function::reader() const { return *state_->reader; }
snapshot::Supply& Function::supply() { return *state_->supply; }
const StartTimes& Function::start() const { return state_->start; }

Result<Done> Function::restored(Clock& clock) {
  THAW_TRY_DO(state_->engine->intact());
  state_->start = {};
  state_->start.origin = clock.now();
  state_->generator->tell_start(state_->start);
  return Done{};
}

std::uint64_t Function::memory_wanted(std::uint32_t kv_tokens) const {
  const std::uint64_t blocks =
      (std::uint64_t{kv_tokens} + kernels::kKvBlockPositions - 1) / kernels::kKvBlockPositions;
  return state_->reader->file_bytes() + kOwnBytes + blocks * state_->plan.kv_block_bytes();
}

std::string Function::memory_warning(std::uint64_t limit) const {
  const std::uint64_t wanted = memory_wanted(kernels::kKvBlockPositions);
  if (limit >= wanted) return {};
  const auto mebibytes = [](std::uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  const std::uint64_t own = wanted - state_->reader->file_bytes();
  return cat("memory: the limit is ", mebibytes(limit), " MB, this function wants ",
             mebibytes(wanted),
             limit < own ? " MB and will be ended" : " MB and will read the disk for every token",
             "; raise its memory to at least ", mebibytes(wanted), " MB");
}

}  // namespace thaw::handler
