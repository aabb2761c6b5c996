// A file that is cut short, or a disk that fails, while the file is mapped, makes the kernel send
// SIGBUS to whoever touches the lost pages. Here zeros take the place of such pages and the range
// is marked, so that the process lives to say what happened.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace thaw {

// Catches SIGBUS from now on; called once by main. A fault outside of every guarded range ends the
// process as it would have without. The ranges are the program's one piece of global state: a
// signal handler can be handed nothing.
void install_bus_guard();

// A mapped range that is guarded while this lives. Thread-safe.
class BusGuarded {
 public:
  // Where kRangesMax are guarded already this one is not.
  explicit BusGuarded(Bytes range);
  ~BusGuarded();
  BusGuarded(const BusGuarded&) = delete;
  BusGuarded& operator=(const BusGuarded&) = delete;

  // Whether zeros took the place of any page of it.
  bool is_broken() const;

  static constexpr std::size_t kRangesMax = 64;  // a process maps a snapshot, or a few shards

 private:
  std::size_t slot_;
};

}  // namespace thaw
