// What the processes of an instance hold in memory.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace thaw::emulator {

struct HeldMemory {
  // Anonymous and shared memory: what cannot be had back while they live, and what the limit is
  // held to. Pages of files, weights among them, the kernel takes back when it must, on Lambda as
  // here.
  std::uint64_t own_bytes = 0;
  std::uint64_t resident_bytes = 0;  // the same and pages of files, each process's for itself
};

// Of one process; zero for one that is gone.
HeldMemory memory_of_process(pid_t pid);

// Of all processes of a group: a process and the children that did not leave it. Reads through
// /proc, which takes milliseconds on a busy machine.
HeldMemory memory_of_group(pid_t group);

}  // namespace thaw::emulator
