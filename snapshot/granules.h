// Checks a snapshot's granules against their checksums when they are first used, so that no start
// waits for bytes that it does not need.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "snapshot/reader.h"

namespace thaw::snapshot {

// What is known of each granule: nothing yet, sound, or wrong. Each is checked once. Thread-safe.
// The reader outlives it.
class Granules {
 public:
  explicit Granules(const Reader& reader);
  Granules(const Granules&) = delete;
  Granules& operator=(const Granules&) = delete;

  // Takes bytes of the map that were just used, while they are in a cache: once all of a granule's
  // bytes have passed here, in pieces of any size and order, the granule is known. Bytes that pass
  // twice, or never, do no harm: settle() looks at what the pieces leave open.
  void pass(Bytes used);

  // Checks every granule that `used` touches and that is not yet known to be sound, with the pool's
  // threads where there is one. Errors: kCorrupt, naming a granule and its sections; kept, so that
  // it comes again for any bytes of that granule.
  Result<Done> settle(Bytes used, ThreadPool* pool = nullptr);

  // How many were read here rather than passed.
  std::uint64_t reread_count() const { return reread_.load(std::memory_order_relaxed); }

 private:
  enum State : std::uint32_t { kUnknown, kSound, kWrong };
  struct Granule {
    std::atomic<std::uint32_t> state{kUnknown};
    std::atomic<std::uint32_t> sum{0};     // of the passed pieces' checksums, each at its place
    std::atomic<std::uint32_t> passed{0};  // bytes
  };

  // [begin, end) of a granule, offsets in the file.
  std::uint64_t end_of(std::uint64_t granule) const;
  std::uint32_t wanted(std::uint64_t granule) const;
  std::uint32_t found(std::uint64_t granule) const;
  bool check(std::uint64_t granule);
  std::uint64_t offset_of(Bytes used) const;

  const Reader& reader_;
  const Bytes file_;
  const Bytes checksums_;
  const std::uint64_t covered_bytes_;
  const std::uint64_t count_;
  std::unique_ptr<Granule[]> granules_;
  std::atomic<std::uint64_t> reread_{0};
};

}  // namespace thaw::snapshot
