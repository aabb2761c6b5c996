// This machine's limits, measured: what speeds are compared with. Not part of any result.
#pragma once

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace thaw::kernels {

// Bytes per second that all the pool's threads together read from memory far larger than the
// caches, by the best of one to eight streams side by side. Takes about 0.2 s and 256 MB.
double read_bytes_per_second(ThreadPool& pool);

// Integer operations per second (a multiplication and an addition are two) of the set's own
// multiply-add instruction on registers, all the pool's threads together: the roof of its quantised
// products. 0 where the set has none (scalar). Takes about 0.05 s.
double integer_operations_per_second(const KernelSet& set, ThreadPool& pool);

}  // namespace thaw::kernels
