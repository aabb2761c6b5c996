#include "snapshot/supply.h"

#include <algorithm>
#include <system_error>

#include "base/check.h"
#include "base/quiet_thread.h"
#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::snapshot {
namespace {

using SteadyClock = std::chrono::steady_clock;

// What is brought in at once: a huge page, and enough for a disk to be read at its full speed.
constexpr std::uint64_t kChunkBytes = 2u << 20;
// Two reads in flight fill the disk's queue; more wait for each other (DECISIONS.md, "Paging").
constexpr std::size_t kReadersMax = 2;
// Places of the weights that are looked at to see whether they are in the page cache.
constexpr std::uint64_t kSamples = 8;
// A chunk that was read and took longer than this came from a disk, and the rest is read ahead.
constexpr std::chrono::microseconds kSlow{500};

// Sections of which an invocation uses parts, or which are large.
bool is_read_in_parts(SectionType type) {
  return type == SectionType::kWeights || type == SectionType::kEmbedding ||
         type == SectionType::kExperts || type == SectionType::kPrefixKv;
}

}  // namespace

Result<Paging> parse_paging(std::string_view name) {
  if (name == "map") return Paging::kMap;
  if (name == "read") return Paging::kRead;
  return fail(Code::kInvalid, cat("THAW_PAGING ", quote(name), ": wanted map or read"));
}

Result<Verify> parse_verify(std::string_view name) {
  if (name == "eager") return Verify::kEager;
  if (name == "lazy") return Verify::kLazy;
  if (name == "off") return Verify::kOff;
  return fail(Code::kInvalid, cat("THAW_VERIFY ", quote(name), ": wanted eager, lazy or off"));
}

Supply::Supply(Reader& reader, Paging paging, Verify verify)
    : reader_(reader),
      verify_(verify),
      file_(reader.bytes()),
      checks_(verify != Verify::kOff),
      chunks_((file_.size() + kChunkBytes - 1) / kChunkBytes) {
  if (verify != Verify::kOff) granules_.emplace(reader);
  if (auto state = reader.mapping().state()) state_ = *state;
  const auto weights = reader.section(SectionType::kWeights);
  if (!weights || weights->empty()) return;
  weights_ = *weights;
  ahead_of_use_ = chunks_of(weights_);
  private_ = paging == Paging::kRead && reader.mapping().make_private(weights_).has_value();
}

Supply::~Supply() {
  stopping_.store(true, std::memory_order_relaxed);
  idle_.store(false, std::memory_order_relaxed);
  checker_at_work_.wait(true, std::memory_order_acquire);
  const std::lock_guard lock(readers_mutex_);
  for (std::thread& reader : readers_) reader.join();
}

bool Supply::weights_cached() const {
  const auto offset = static_cast<std::uint64_t>(weights_.data() - file_.data());
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    if (!reader_.mapping().is_cached(offset + weights_.size() / kSamples * i)) return false;
  }
  return true;
}

Supply::Chunks Supply::chunks_of(Bytes bytes) const {
  if (bytes.empty()) return {};
  const auto offset = static_cast<std::uint64_t>(bytes.data() - file_.data());
  return {offset / kChunkBytes, (offset + bytes.size() - 1) / kChunkBytes + 1};
}

// Does nothing where readers are at work, or nothing is left for them.
void Supply::start_readers() {
  const std::lock_guard lock(readers_mutex_);
  if (stopping_.load(std::memory_order_relaxed)) return;
  cold_.store(true, std::memory_order_relaxed);
  idle_.store(false, std::memory_order_relaxed);
  {
    const std::lock_guard order(order_mutex_);
    if (running_ > 0 || failed_.load(std::memory_order_relaxed)) return;
    if (urgent_.empty() && ahead_of_use_.next == ahead_of_use_.end) return;
    running_ = kReadersMax;
  }
  for (std::thread& ended : readers_) ended.join();
  readers_.clear();
  try {
    while (readers_.size() < kReadersMax) {
      readers_.push_back(quiet_thread([this] { read_ahead(); }));
    }
  } catch (const std::system_error&) {
    // Without them whoever needs bytes brings them in: slower, but right.
    const std::lock_guard order(order_mutex_);
    running_ -= kReadersMax - readers_.size();
  }
}

// Nothing where nothing is left: the reader is done.
std::optional<std::uint64_t> Supply::take_chunk() {
  const std::lock_guard lock(order_mutex_);
  if (!stopping_.load(std::memory_order_relaxed) && !failed_.load(std::memory_order_relaxed)) {
    for (; !urgent_.empty(); urgent_.pop_front()) {
      if (urgent_.front().next < urgent_.front().end) return urgent_.front().next++;
    }
    if (ahead_of_use_.next < ahead_of_use_.end) return ahead_of_use_.next++;
  }
  --running_;
  return std::nullopt;
}

void Supply::read_ahead() {
  while (const std::optional<std::uint64_t> chunk = take_chunk()) {
    if (bring(*chunk) != Brought::kByOthers) ahead_.fetch_add(1, std::memory_order_relaxed);
  }
}

Bytes Supply::bytes_of(std::uint64_t chunk) const {
  const std::uint64_t begin = chunk * kChunkBytes;
  return file_.subspan(begin, std::min(kChunkBytes, file_.size() - begin));
}

// Brings a chunk in unless somebody does or did.
Supply::Brought Supply::bring(std::uint64_t chunk) {
  std::uint32_t expected = kAbsent;
  if (!chunks_[chunk].compare_exchange_strong(expected, kComing, std::memory_order_acq_rel)) {
    return Brought::kByOthers;
  }
  // What lies in the page cache is best left to the page faults of its use: they map whole folios,
  // which populating looks through page by page. While a disk is read, a chunk that begins in the
  // cache need not end there: the kernel is reading ahead, too.
  const Mapping& mapping = reader_.mapping();
  const bool is_cached = !private_ && !cold_.load(std::memory_order_relaxed) &&
                         mapping.is_cached(chunk * kChunkBytes);
  if (!is_cached) {
    const Result<Done> done = mapping.populate(bytes_of(chunk));
    if (!done) fail_with(done.error());
  }
  // After a failure, too: who waits goes on, and settle() tells.
  chunks_[chunk].store(kThere, std::memory_order_release);
  chunks_[chunk].notify_all();
  return is_cached ? Brought::kFromCache : Brought::kRead;
}

void Supply::fail_with(Error error) {
  const std::lock_guard lock(error_mutex_);
  if (!error_) error_ = std::move(error);
  failed_.store(true, std::memory_order_release);
}

void Supply::need_chunk(std::uint64_t chunk) {
  const auto begin = SteadyClock::now();
  const Brought brought = bring(chunk);
  if (brought != Brought::kByOthers) {
    here_.fetch_add(1, std::memory_order_relaxed);
  } else {
    std::uint32_t state = chunks_[chunk].load(std::memory_order_acquire);
    while (state != kThere) {
      chunks_[chunk].wait(state, std::memory_order_acquire);
      state = chunks_[chunk].load(std::memory_order_acquire);
    }
  }
  const auto took = SteadyClock::now() - begin;
  waited_ns_.fetch_add(std::chrono::nanoseconds(took).count(), std::memory_order_relaxed);
  if (brought == Brought::kRead && took > kSlow) start_readers();
}

void Supply::need(Bytes bytes) {
  const Chunks needed = chunks_of(bytes);
  for (std::uint64_t chunk = needed.next; chunk < needed.end; ++chunk) {
    if (chunks_[chunk].load(std::memory_order_acquire) != kThere) need_chunk(chunk);
  }
}

void Supply::hurry(Bytes bytes) {
  if (!cold_.load(std::memory_order_relaxed)) return;  // what is cached needs no readers
  Chunks wanted = chunks_of(bytes);
  const auto is_asked_for = [this](std::uint64_t chunk) {
    return chunks_[chunk].load(std::memory_order_relaxed) != kAbsent;
  };
  while (wanted.next < wanted.end && is_asked_for(wanted.next)) ++wanted.next;
  if (wanted.next == wanted.end) return;
  {
    const std::lock_guard lock(order_mutex_);
    urgent_.push_back(wanted);
  }
  start_readers();
}

Result<Done> Supply::fetch(Bytes bytes, ThreadPool* pool) {
  need(bytes);
  if (failed_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(error_mutex_);
    return *error_;
  }
  if (granules_) return granules_->settle(bytes, pool);
  return Done{};
}

Result<Done> Supply::check_opening(ThreadPool* pool) {
  if (verify_ == Verify::kEager) {
    THAW_TRY_DO(fetch(file_, pool));
    checks_.store(false, std::memory_order_relaxed);
    return reader_.check_end();
  }
  if (!weights_.empty() && (private_ || !weights_cached())) {
    // What is small goes first: behind weights the first event would wait.
    if (verify_ == Verify::kLazy) {
      const std::lock_guard lock(order_mutex_);
      for (const Bytes part : small_parts()) urgent_.push_back(chunks_of(part));
    }
    start_readers();
  } else if (verify_ == Verify::kLazy && pool != nullptr) {
    start_checker(*pool);
  }
  if (verify_ == Verify::kLazy) THAW_TRY_DO(check_small());
  return Done{};
}

// Until the first evaluation begins a processor has nothing to do: the function is still being
// opened, and may then wait for an event. What is wrong is told by settle(), as ever.
void Supply::start_checker(ThreadPool& pool) {
  checker_at_work_.store(true, std::memory_order_relaxed);
  const bool begun = pool.run_aside([this] {
    for (std::uint64_t at = 0; at < weights_.size(); at += kGranuleBytes) {
      if (!idle_.load(std::memory_order_relaxed)) break;
      if (granules_->settle(weights_.subspan(at, 1))) {
        checked_ahead_.fetch_add(1, std::memory_order_relaxed);
      }
    }
    checker_at_work_.store(false, std::memory_order_release);
    checker_at_work_.notify_all();
  });
  if (!begun) checker_at_work_.store(false, std::memory_order_relaxed);
}

// Each small section with the padding before it; large ones' padding alone, and not what follows
// one, which shares its last granule.
std::vector<Bytes> Supply::small_parts() const {
  std::vector<Bytes> parts;
  std::uint64_t begin = 0;
  bool after_large = false;
  for (const Section& section : reader_.sections()) {
    const bool large = is_read_in_parts(section.type);
    const std::uint64_t end = section.offset + (large ? 0 : section.bytes.size());
    if (after_large) begin = section.offset;
    if (begin < end) parts.push_back(file_.subspan(begin, end - begin));
    begin = section.offset + section.bytes.size();
    after_large = large;
  }
  return parts;
}

Result<Done> Supply::check_small() {
  for (const Bytes part : small_parts()) THAW_TRY_DO(fetch(part));
  return reader_.check_end();
}

Result<Done> Supply::check_file() {
  const Mapping& mapping = reader_.mapping();
  const auto broken = [&](std::string_view found) {
    return fail(Code::kIo, cat("use ", quote(reader_.path()), ": ", found,
                               "; start the function again with a whole copy"));
  };
  if (mapping.is_broken()) return broken("bytes were lost while it was in use");
  THAW_TRY(state, mapping.state());
  if (state == state_) return Done{};
  if (state.bytes != state_.bytes) {
    return broken(
        cat("it has ", state.bytes, " bytes, it had ", state_.bytes, " when it was opened"));
  }
  // Written to, or only touched: all of it has to be looked at again.
  THAW_TRY_DO(reader_.verify());
  if (mapping.is_broken()) return broken("bytes were lost while it was in use");
  state_ = state;
  return Done{};
}

Result<Done> Supply::settle(ThreadPool* pool) {
  if (failed_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(error_mutex_);
    return *error_;
  }
  if (checks()) {
    const Result<Done> sound = granules_->settle(weights_, pool);
    if (!sound) {
      THAW_TRY_DO(check_file());  // a file that lost bytes is better said so
      return sound;
    }
    checks_.store(false, std::memory_order_relaxed);
  }
  return check_file();
}

Supply::Counts Supply::counts() const {
  return {std::chrono::nanoseconds(waited_ns_.load(std::memory_order_relaxed)),
          here_.load(std::memory_order_relaxed), ahead_.load(std::memory_order_relaxed),
          checked_ahead_.load(std::memory_order_relaxed)};
}

}  // namespace thaw::snapshot
