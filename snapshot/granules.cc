#include "snapshot/granules.h"

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "snapshot/format.h"

namespace thaw::snapshot {

Granules::Granules(const Reader& reader)
    : reader_(reader),
      file_(reader.bytes()),
      checksums_(reader.sections().back().bytes),
      covered_bytes_(reader.sections().back().offset),
      count_((covered_bytes_ + kGranuleBytes - 1) / kGranuleBytes),
      granules_(std::make_unique<Granule[]>(count_)) {}

std::uint64_t Granules::end_of(std::uint64_t granule) const {
  return std::min((granule + 1) * kGranuleBytes, covered_bytes_);
}

std::uint32_t Granules::wanted(std::uint64_t granule) const {
  return load<std::uint32_t>(checksums_.data() + granule * sizeof(std::uint32_t));
}

std::uint32_t Granules::found(std::uint64_t granule) const {
  const std::uint64_t begin = granule * kGranuleBytes;
  return crc32c(file_.subspan(begin, end_of(granule) - begin));
}

std::uint64_t Granules::offset_of(Bytes used) const {
  THAW_CHECK(used.data() >= file_.data());
  const auto offset = static_cast<std::uint64_t>(used.data() - file_.data());
  THAW_CHECK(offset <= file_.size() && used.size() <= file_.size() - offset);
  return offset;
}

void Granules::pass(Bytes used) {
  const std::uint64_t offset = offset_of(used);
  const std::uint64_t end = std::min(offset + used.size(), covered_bytes_);
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t index = at / kGranuleBytes;
    const std::uint64_t granule_end = end_of(index);
    const std::uint64_t piece_end = std::min(end, granule_end);
    Granule& granule = granules_[index];
    if (granule.state.load(std::memory_order_relaxed) == kUnknown) {
      const std::uint64_t bytes = piece_end - at;
      const std::uint32_t piece = crc32c(file_.subspan(at, bytes));
      granule.sum.fetch_xor(crc32c_followed_by(piece, granule_end - piece_end),
                            std::memory_order_relaxed);
      // Releases the sum to whoever completes the granule.
      const std::uint32_t before =
          granule.passed.fetch_add(static_cast<std::uint32_t>(bytes), std::memory_order_acq_rel);
      const bool whole = before + bytes == granule_end - index * kGranuleBytes;
      if (whole && granule.sum.load(std::memory_order_relaxed) == wanted(index)) {
        granule.state.store(kSound, std::memory_order_release);
      }
    }
    at = piece_end;
  }
}

bool Granules::check(std::uint64_t index) {
  Granule& granule = granules_[index];
  const std::uint32_t state = granule.state.load(std::memory_order_acquire);
  if (state != kUnknown) return state == kSound;
  reread_.fetch_add(1, std::memory_order_relaxed);
  const bool sound = found(index) == wanted(index);
  granule.state.store(sound ? kSound : kWrong, std::memory_order_release);
  return sound;
}

Result<Done> Granules::settle(Bytes used, ThreadPool* pool) {
  const std::uint64_t offset = offset_of(used);
  const std::uint64_t end = std::min(offset + used.size(), covered_bytes_);
  if (offset >= end) return Done{};
  const std::uint64_t first = offset / kGranuleBytes;
  const std::uint64_t last = (end - 1) / kGranuleBytes + 1;
  std::uint64_t open = 0;
  for (std::uint64_t i = first; i < last; ++i) {
    if (granules_[i].state.load(std::memory_order_acquire) != kSound) ++open;
  }
  if (open == 0) return Done{};
  if (pool != nullptr && open > 1) {
    pool->run(last - first, [&](std::size_t i, unsigned) { check(first + i); });
  }
  for (std::uint64_t i = first; i < last; ++i) {
    if (!check(i)) return reader_.granule_error(i, found(i));
  }
  return Done{};
}

}  // namespace thaw::snapshot
