// How a snapshot's bytes come into memory and are found sound while a model is evaluated: in bulk,
// ahead of their use, and each checked once, by whoever uses it first.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "snapshot/granules.h"
#include "snapshot/reader.h"

namespace thaw::snapshot {

enum class Paging : unsigned char {
  kMap,   // the page cache's own pages, shared with every process
  kRead,  // direct reads into huge pages of this process's own
};
// "map", "read". Errors: kInvalid, naming both.
Result<Paging> parse_paging(std::string_view name);

enum class Verify : unsigned char {
  kEager,  // everything, when it is opened
  kLazy,   // each granule once, when it is first used; small sections when it is opened
  kOff,    // header and directory alone
};
// "eager", "lazy", "off". Errors: kInvalid, naming all.
Result<Verify> parse_verify(std::string_view name);

// need(), pass() and begin_use() are thread-safe; the rest is for one thread at a time, and not
// while others are in need() or pass(). The reader outlives it.
class Supply {
 public:
  Supply(Reader& reader, Paging paging, Verify verify);
  ~Supply();
  Supply(const Supply&) = delete;
  Supply& operator=(const Supply&) = delete;

  // What is to be found sound before anything else is read from the snapshot: all of it (eager), or
  // every section but weights, embedding, experts and prefixes, and the padding around them. Then,
  // where the weights are not in the page cache, threads begin to read them in ascending order;
  // where they are, and the pool has threads that have nothing to do, one begins to check them.
  // Errors: kCorrupt, kIo.
  Result<Done> check_opening(ThreadPool* pool);

  // An evaluation begins: it needs the processors, and checks what it uses by itself. Ends what
  // check_opening() had begun, whatever is still unknown. A function that ends does the same.
  void begin_use() { idle_.store(false, std::memory_order_relaxed); }
  // Returns once these bytes of the map are in memory: brings them there, or waits for who does.
  // What cannot be read is told by settle().
  void need(Bytes bytes);
  // Whether weights are still to be checked.
  bool checks() const { return checks_.load(std::memory_order_relaxed); }
  // Takes bytes that were just used, while they are in a cache.
  void pass(Bytes bytes) {
    if (checks()) granules_->pass(bytes);
  }
  // What is read ahead goes on with these bytes, behind those of earlier calls and before the
  // weights. Waits for nothing.
  void hurry(Bytes bytes);
  // need(), and the bytes are checked now: for what is used once and here and there (a prefix, rows
  // of an embedding). Errors: kCorrupt, kIo.
  Result<Done> fetch(Bytes bytes, ThreadPool* pool = nullptr);

  // Whether everything that was used up to now was sound; to be asked before what was computed is
  // told to anyone. The first time, all weights are found sound or not; later it is cheap.
  // Errors: kCorrupt  a checksum is wrong, or the file was written to and no longer sound
  //         kIo       bytes could not be read; the file was cut short
  Result<Done> settle(ThreadPool* pool);

  struct Counts {
    std::chrono::nanoseconds waited{};  // in need(), summed over threads
    std::uint64_t chunks_here = 0;      // brought in by the threads that needed them
    std::uint64_t chunks_ahead = 0;     // by threads ahead of them
    std::uint64_t granules_ahead = 0;   // checked before their use
  };
  Counts counts() const;

 private:
  enum State : std::uint32_t { kAbsent, kComing, kThere };
  using Chunk = std::atomic<std::uint32_t>;
  // Chunks [next, end) that are still to be taken.
  struct Chunks {
    std::uint64_t next = 0;
    std::uint64_t end = 0;
  };

  std::vector<Bytes> small_parts() const;
  Result<Done> check_small();
  Chunks chunks_of(Bytes bytes) const;
  std::optional<std::uint64_t> take_chunk();
  enum class Brought : unsigned char { kByOthers, kFromCache, kRead };
  Brought bring(std::uint64_t chunk);
  void need_chunk(std::uint64_t chunk);
  Bytes bytes_of(std::uint64_t chunk) const;
  bool weights_cached() const;
  void start_readers();
  void start_checker(ThreadPool& pool);
  void read_ahead();
  void fail_with(Error error);
  Result<Done> check_file();

  Reader& reader_;
  const Verify verify_;
  bool private_ = false;  // the weights are this process's own memory
  const Bytes file_;
  Bytes weights_;
  std::optional<Granules> granules_;
  std::atomic<bool> checks_;  // weights are still to be checked
  FileState state_;           // when it was opened

  std::vector<Chunk> chunks_;      // of kChunkBytes of the file
  std::atomic<bool> cold_{false};  // readers are at work, or were
  std::mutex order_mutex_;
  std::size_t running_ = 0;    // readers; guarded by order_mutex_
  std::deque<Chunks> urgent_;  // what the readers take first; guarded by order_mutex_
  Chunks ahead_of_use_;        // the weights, which they take then; guarded by order_mutex_
  std::atomic<bool> stopping_{false};
  std::mutex readers_mutex_;
  std::vector<std::thread> readers_;  // guarded by readers_mutex_

  std::atomic<bool> idle_{true};  // nothing is evaluated yet, no disk is read
  std::atomic<bool> checker_at_work_{false};

  std::atomic<bool> failed_{false};
  std::mutex error_mutex_;
  std::optional<Error> error_;  // the first; guarded by error_mutex_

  std::atomic<std::int64_t> waited_ns_{0};
  std::atomic<std::uint64_t> here_{0};
  std::atomic<std::uint64_t> ahead_{0};
  std::atomic<std::uint64_t> checked_ahead_{0};
};

}  // namespace thaw::snapshot
