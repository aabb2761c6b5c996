#include "snapshot/supply.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <system_error>

#include "base/check.h"
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
// From the page cache a chunk comes in some microseconds; one that takes longer than this came
// from a disk, and the rest is read ahead.
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
  const auto offset = static_cast<std::uint64_t>(weights_.data() - file_.data());
  next_ = offset / kChunkBytes;
  end_ = (offset + weights_.size() - 1) / kChunkBytes + 1;
  private_ = paging == Paging::kRead && reader.mapping().make_private(weights_).has_value();
}

Supply::~Supply() {
  stopping_.store(true, std::memory_order_relaxed);
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

void Supply::start_readers() {
  const std::lock_guard lock(readers_mutex_);
  if (!readers_.empty() || stopping_.load(std::memory_order_relaxed)) return;
  // Signals belong to main's thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (std::size_t i = 0; i < kReadersMax; ++i) readers_.emplace_back([this] { read_ahead(); });
  } catch (const std::system_error&) {
    // Without them whoever needs bytes brings them in: slower, but right.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Nothing where nothing is left.
std::optional<std::uint64_t> Supply::take_chunk() {
  if (urgent_next_.load(std::memory_order_relaxed) < urgent_end_.load(std::memory_order_acquire)) {
    const std::uint64_t chunk = urgent_next_.fetch_add(1, std::memory_order_relaxed);
    if (chunk < urgent_end_.load(std::memory_order_acquire)) return chunk;
  }
  const std::uint64_t chunk = next_.fetch_add(1, std::memory_order_relaxed);
  if (chunk < end_) return chunk;
  return std::nullopt;
}

void Supply::read_ahead() {
  while (!stopping_.load(std::memory_order_relaxed) && !failed_.load(std::memory_order_relaxed)) {
    const std::optional<std::uint64_t> chunk = take_chunk();
    if (!chunk) return;
    if (bring(*chunk)) ahead_.fetch_add(1, std::memory_order_relaxed);
  }
}

Bytes Supply::bytes_of(std::uint64_t chunk) const {
  const std::uint64_t begin = chunk * kChunkBytes;
  return file_.subspan(begin, std::min(kChunkBytes, file_.size() - begin));
}

// Brings a chunk in unless somebody does or did; whether it was this call.
bool Supply::bring(std::uint64_t chunk) {
  std::uint32_t expected = kAbsent;
  if (!chunks_[chunk].compare_exchange_strong(expected, kComing, std::memory_order_acq_rel)) {
    return false;
  }
  // What lies in the page cache is best left to the page faults of its use: they map whole folios,
  // which populating looks through page by page.
  const Mapping& mapping = reader_.mapping();
  if (private_ || !mapping.is_cached(chunk * kChunkBytes)) {
    const Result<Done> done = mapping.populate(bytes_of(chunk));
    if (!done) fail_with(done.error());
  }
  // After a failure, too: who waits goes on, and settle() tells.
  chunks_[chunk].store(kThere, std::memory_order_release);
  chunks_[chunk].notify_all();
  return true;
}

void Supply::fail_with(Error error) {
  const std::lock_guard lock(error_mutex_);
  if (!error_) error_ = std::move(error);
  failed_.store(true, std::memory_order_release);
}

void Supply::need_chunk(std::uint64_t chunk) {
  const auto begin = SteadyClock::now();
  if (bring(chunk)) {
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
  if (took > kSlow && next_.load(std::memory_order_relaxed) < end_) start_readers();
}

void Supply::need(Bytes bytes) {
  if (bytes.empty()) return;
  const auto offset = static_cast<std::uint64_t>(bytes.data() - file_.data());
  const std::uint64_t last = (offset + bytes.size() - 1) / kChunkBytes;
  for (std::uint64_t chunk = offset / kChunkBytes; chunk <= last; ++chunk) {
    if (chunks_[chunk].load(std::memory_order_acquire) != kThere) need_chunk(chunk);
  }
}

void Supply::expect(Bytes bytes) const {
  if (bytes.empty()) return;
  const auto offset = static_cast<std::uint64_t>(bytes.data() - file_.data());
  const std::uint64_t chunk = offset / kChunkBytes;
  if (chunks_[chunk].load(std::memory_order_relaxed) != kAbsent) return;
  const bool in_weights =
      bytes.data() >= weights_.data() && bytes.data() < weights_.data() + weights_.size();
  if (private_ && in_weights) return;  // the page cache has no part in these
  if (!reader_.mapping().is_cached(offset)) reader_.mapping().will_need(bytes_of(chunk));
}

void Supply::hurry(Bytes bytes) {
  if (bytes.size() > kChunkBytes) {
    const auto offset = static_cast<std::uint64_t>(bytes.data() - file_.data());
    urgent_end_.store(0, std::memory_order_release);
    urgent_next_.store(offset / kChunkBytes, std::memory_order_relaxed);
    urgent_end_.store((offset + bytes.size() - 1) / kChunkBytes + 1, std::memory_order_release);
  }
}

Result<Done> Supply::fetch(Bytes bytes, ThreadPool* pool) {
  hurry(bytes);
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
  if (verify_ == Verify::kLazy) THAW_TRY_DO(check_small());
  // Not earlier: what is small would wait behind what is large (6 ms to the first event become 21).
  if (!weights_.empty() && (private_ || !weights_cached())) start_readers();
  return Done{};
}

Result<Done> Supply::check_small() {
  // Each section with the padding before it; large ones' padding alone, and not what follows one,
  // which shares its last granule.
  std::uint64_t begin = 0;
  bool after_large = false;
  for (const Section& section : reader_.sections()) {
    const bool large = is_read_in_parts(section.type);
    const std::uint64_t end = section.offset + (large ? 0 : section.bytes.size());
    if (after_large) begin = section.offset;
    if (begin < end) THAW_TRY_DO(fetch(file_.subspan(begin, end - begin)));
    begin = section.offset + section.bytes.size();
    after_large = large;
  }
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
          here_.load(std::memory_order_relaxed), ahead_.load(std::memory_order_relaxed)};
}

}  // namespace thaw::snapshot
