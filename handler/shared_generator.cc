#include "handler/shared_generator.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "base/wipe.h"

namespace thaw::handler {
namespace {

// How long a caller is left alone where no step of its sequence comes: while it waits for its turn,
// or a long prompt of another is evaluated. It may have a comment to send, or know that its client
// has gone.
constexpr std::chrono::milliseconds kAskEvery{100};

// A TextPiece that owns what it shows.
struct Piece {
  std::string text;
  bool reasoning = false;
  std::vector<ScoredToken> tokens;
  Generation so_far;  // without its tokens
};

Piece copy_of(const TextPiece& piece) {
  Piece copy{
      std::string(piece.text), piece.reasoning, {piece.tokens.begin(), piece.tokens.end()}, {}};
  if (piece.so_far != nullptr) {
    copy.so_far.usage = piece.so_far->usage;
    copy.so_far.phases = piece.so_far->phases;
    copy.so_far.start = piece.so_far->start;
  }
  return copy;
}

}  // namespace

// One sequence, from its job to its result.
struct SharedGenerator::Slot {
  Call* call = nullptr;
  const Job* job = nullptr;
  ModelGenerator::Prepared prepared;
  std::atomic<bool> cancelled{false};  // by the caller

  // The stepping thread's, once it has the slot.
  TextSink to_caller;
  std::function<bool()> wanted;
  std::unique_ptr<Sequence> sequence;
  bool told = false;  // something, in this step

  // Guarded by call->mutex.
  std::vector<Piece> pieces;
  std::optional<Result<Generation>> result;
  bool rests = false;

  // The caller's.
  bool submitted = false;
  bool refused = false;  // it wants no more
  std::optional<Result<Generation>> outcome;
};

// What one caller waits for. Lives on its stack.
struct SharedGenerator::Call {
  std::mutex mutex;  // guards `news` and parts of the slots
  std::condition_variable wake;
  bool news = false;
  std::deque<Slot> slots;

  void wait(std::chrono::nanoseconds at_most = kAskEvery) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, at_most, [&] { return news; });
    news = false;
  }
};

// Makes sure that the stepping thread is done with a call, however its caller leaves it: a sink may
// run out of memory.
class SharedGenerator::Attendance {
 public:
  Attendance(SharedGenerator& shared, Call& call) : shared_(shared), call_(call) {}
  Attendance(const Attendance&) = delete;
  Attendance& operator=(const Attendance&) = delete;
  ~Attendance() {
    for (Slot& slot : call_.slots) {
      if (!slot.submitted || slot.outcome) continue;
      shared_.refuse(slot);
      while (!has_result(slot)) call_.wait();
    }
    shared_.leave();
  }

 private:
  bool has_result(Slot& slot) {
    const std::lock_guard lock(call_.mutex);
    return slot.outcome || slot.result;
  }

  SharedGenerator& shared_;
  Call& call_;
};

Result<std::unique_ptr<SharedGenerator>> SharedGenerator::start(ModelGenerator& model, Clock& clock,
                                                                const SharedOptions& options) {
  if (options.active_max == 0 || options.waiting_max == 0 || options.pieces_max == 0) {
    return fail(Code::kInvalid, "share a model: a limit of 0; each is at least 1");
  }
  auto shared = std::unique_ptr<SharedGenerator>(new SharedGenerator(model, clock, options));
  // So that nothing has to grow where memory has run out.
  shared->open_.reserve(2 * std::size_t{options.active_max});
  SharedGenerator* raw = shared.get();
  try {
    shared->thread_ = std::thread([raw] { raw->work(); });
  } catch (const std::system_error& error) {
    return fail(Code::kUnavailable, cat("share a model: no thread could be had: ", error.what()));
  }
  return shared;
}

SharedGenerator::~SharedGenerator() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  if (thread_.joinable()) thread_.join();
}

// ---- the caller's side

Result<Generation> SharedGenerator::generate(const GenerationRequest& request,
                                             const TextSink& sink) {
  const Job job{&request, sink};
  return std::move(generate_all(std::span(&job, 1)).front());
}

std::vector<Result<Generation>> SharedGenerator::generate_all(std::span<const Job> jobs) {
  std::vector<Result<Generation>> results;
  if (const Result<Done> entered = enter(); !entered) {
    for (std::size_t i = 0; i < jobs.size(); ++i) results.emplace_back(entered.error());
    return results;
  }
  Call call;
  const Attendance attendance(*this, call);
  for (const Job& job : jobs) {
    Slot& slot = call.slots.emplace_back();
    slot.call = &call;
    slot.job = &job;
    Result<ModelGenerator::Prepared> prepared = model_.prepare(*job.request);
    if (prepared) {
      slot.prepared = std::move(*prepared);
    } else {
      slot.outcome = std::move(prepared.error());
    }
  }
  submit(call);
  while (deliver(call)) {
    call.wait(ask(call));
  }
  for (Slot& slot : call.slots) results.push_back(std::move(*slot.outcome));
  return results;
}

Result<Done> SharedGenerator::enter() {
  const std::lock_guard lock(mutex_);
  const std::uint32_t most = options_.active_max + options_.waiting_max;
  if (calls_ >= most) {
    return fail(Code::kUnavailable,
                cat("generate: ", calls_, " requests are in progress, the limit; try again later"));
  }
  ++calls_;
  return Done{};
}

void SharedGenerator::leave() {
  const std::lock_guard lock(mutex_);
  --calls_;
}

void SharedGenerator::submit(Call& call) {
  {
    const std::lock_guard lock(mutex_);
    for (Slot& slot : call.slots) {
      if (slot.outcome) continue;
      waiting_.push_back(&slot);
      slot.submitted = true;
    }
  }
  work_.notify_one();
}

// Hands over what has come. False: every job has its outcome.
bool SharedGenerator::deliver(Call& call) {
  bool more = false;
  for (Slot& slot : call.slots) {
    if (slot.outcome) continue;
    std::vector<Piece> pieces;
    bool rested = false;
    {
      const std::lock_guard lock(call.mutex);
      pieces.swap(slot.pieces);
      rested = std::exchange(slot.rests, false);
      if (slot.result) slot.outcome = std::move(slot.result);
    }
    if (rested) nudge();
    for (const Piece& piece : pieces) {
      if (slot.refused) break;
      const bool goes_on =
          slot.job->sink({piece.text, piece.reasoning, piece.tokens, &piece.so_far});
      if (!goes_on) refuse(slot);
    }
    // What came after a caller's no is as if it had never been.
    if (slot.outcome && slot.refused && *slot.outcome) {
      (*slot.outcome)->finish_reason = FinishReason::kCancelled;
    }
    more = more || !slot.outcome;
  }
  return more;
}

// Whether the caller still wants what it waits for, and whether that can still come in time. Gives
// how long to wait before asking again.
std::chrono::nanoseconds SharedGenerator::ask(Call& call) {
  std::chrono::nanoseconds again = kAskEvery;
  for (Slot& slot : call.slots) {
    if (slot.outcome || slot.refused) continue;
    const GenerationRequest& request = *slot.job->request;
    if (request.wanted && !request.wanted()) {
      refuse(slot);
    } else if (request.deadline) {
      const std::chrono::nanoseconds left = *request.deadline - clock_.now();
      if (left.count() > 0) {
        again = std::min(again, left);
      } else if (withdraw(slot)) {
        slot.outcome->value().finish_reason = FinishReason::kDeadline;
      }
    }
    if (slot.outcome) again = std::chrono::nanoseconds(0);
  }
  return again;
}

void SharedGenerator::refuse(Slot& slot) {
  slot.refused = true;
  slot.cancelled = true;
  if (slot.outcome) return;
  if (withdraw(slot)) {
    slot.outcome->value().finish_reason = FinishReason::kCancelled;
  } else {
    nudge();
  }
}

// Gives a slot whose turn has not come an outcome without a token. False: its turn has come.
bool SharedGenerator::withdraw(Slot& slot) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::find(waiting_.begin(), waiting_.end(), &slot);
    if (at == waiting_.end()) return false;
    waiting_.erase(at);
  }
  Generation nothing;
  nothing.usage.prompt_tokens = static_cast<std::uint32_t>(slot.prepared.prompt.size());
  nothing.phases.tokenise = slot.prepared.time;
  slot.outcome = std::move(nothing);
  return true;
}

void SharedGenerator::nudge() {
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
  }
  work_.notify_one();
}

// ---- the stepping thread

void SharedGenerator::work() {
  for (;;) {
    try {
      if (!gather()) return;
      step();
    } catch (const std::exception&) {
      // Memory, the one thing that throws. Which sequence is whole cannot be known; a message this
      // short needs none.
      while (!open_.empty()) retire(*open_.back(), fail(Code::kIo, "memory ran out"));
    }
  }
}

// Who takes the next step; waits where nobody does. False: the end.
bool SharedGenerator::gather() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    nudged_ = false;  // before looking, so that what changes from here on is seen
  }
  choose_turns();
  const auto has_room = [this] {
    return turn_.size() < options_.active_max &&
           open_.size() < 2 * std::size_t{options_.active_max};
  };
  {
    std::unique_lock lock(mutex_);
    active_ = static_cast<std::uint32_t>(turn_.size());
    resting_ = static_cast<std::uint32_t>(open_.size() - turn_.size());
    if (turn_.empty()) {
      work_.wait(lock, [&] { return stopping_ || nudged_ || (has_room() && !waiting_.empty()); });
    }
  }
  while (has_room()) {
    Slot* slot = next_waiting();
    if (slot == nullptr) break;
    begin(*slot);
  }
  return true;
}

void SharedGenerator::choose_turns() {
  turn_.clear();
  for (Slot* slot : open_) {
    const std::lock_guard lock(slot->call->mutex);
    slot->rests = slot->pieces.size() >= options_.pieces_max && !slot->cancelled;
    if (!slot->rests) turn_.push_back(slot);
  }
}

SharedGenerator::Slot* SharedGenerator::next_waiting() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return nullptr;
  Slot* slot = waiting_.front();
  waiting_.pop_front();
  ++active_;
  return slot;
}

void SharedGenerator::begin(Slot& slot) {
  open_.push_back(&slot);
  slot.wanted = [&slot] { return !slot.cancelled; };
  slot.to_caller = [&slot](const TextPiece& piece) {
    if (slot.cancelled) return false;
    Piece copy = copy_of(piece);
    {
      const std::lock_guard lock(slot.call->mutex);
      slot.pieces.push_back(std::move(copy));
      slot.call->news = true;
    }
    slot.call->wake.notify_one();
    slot.told = true;
    return true;
  };
  Result<std::unique_ptr<Sequence>> begun =
      model_.begin(std::move(slot.prepared), *slot.job->request, slot.to_caller, slot.wanted);
  if (!begun) return retire(slot, std::move(begun.error()));
  slot.sequence = std::move(*begun);
  turn_.push_back(&slot);
}

void SharedGenerator::step() {
  sequences_.clear();
  for (Slot* slot : turn_) {
    slot->told = false;
    sequences_.push_back(slot->sequence.get());
  }
  model_.step(sequences_);
  bool retired = false;
  for (Slot* slot : turn_) {
    if (slot->sequence->has_ended()) {
      retire(*slot, std::move(*slot->sequence).finish());
      retired = true;
    } else if (!slot->told) {  // the caller is asked after each step
      const std::lock_guard lock(slot->call->mutex);
      slot->call->news = true;
      slot->call->wake.notify_one();
    }
  }
  if (retired) wipe_stack();
}

// The slot, and its call, are gone once its result is out.
void SharedGenerator::retire(Slot& slot, Result<Generation> result) {
  open_.erase(std::find(open_.begin(), open_.end(), &slot));
  slot.sequence.reset();
  Call& call = *slot.call;
  const std::lock_guard lock(call.mutex);
  slot.result = std::move(result);
  call.news = true;
  call.wake.notify_one();
}

// ---- what is told about it

std::optional<Closed> SharedGenerator::closed() const {
  const std::lock_guard lock(mutex_);
  if (calls_ < options_.active_max + options_.waiting_max) return std::nullopt;
  return Closed{"overloaded", "requests: as many are in progress as may be; try again later"};
}

SharedGenerator::Load SharedGenerator::load() const {
  const std::lock_guard lock(mutex_);
  return {calls_, active_, resting_, static_cast<std::uint32_t>(waiting_.size())};
}

std::vector<Gauge> SharedGenerator::gauges() const {
  const Load now = load();
  constexpr std::string_view kName = "thaw_sequences";
  constexpr std::string_view kHelp = "Generations in progress, by what they do.";
  return {{kName, kHelp, "state=\"active\"", static_cast<double>(now.active)},
          {kName, kHelp, "state=\"resting\"", static_cast<double>(now.resting)},
          {kName, kHelp, "state=\"waiting\"", static_cast<double>(now.waiting)}};
}

}  // namespace thaw::handler
