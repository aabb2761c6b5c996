// What a cgroup's CPU quota comes to. The rest of usable_processors() is in thread_pool.h.
#pragma once

#include <optional>
#include <string>

namespace thaw::internal {

// The smallest quota of the process's cgroup (v1 or v2) and those above it, in processors rounded
// up; nothing where there is no limit. `root` stands before /proc and /sys ("" on a real machine).
std::optional<unsigned> quota_processors(const std::string& root);

}  // namespace thaw::internal
