// How much memory this process may use, where somebody set a limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace thaw {

// The smallest limit of the process's cgroup (v1 or v2) and those above it, in bytes; nothing where
// there is none. Page cache counts against it, too.
std::optional<std::uint64_t> cgroup_memory_limit();

namespace internal {

// The same below `root`, which stands before /proc and /sys ("" on a real machine).
std::optional<std::uint64_t> cgroup_memory_limit(const std::string& root);

}  // namespace internal
}  // namespace thaw
