#include "base/processors.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

#include "base/memory_limit.h"
#include "base/str.h"
#include "base/thread_pool.h"

namespace thaw {
namespace {

// Largest set of processors asked for; the kernel's own limit is 8192 (CONFIG_NR_CPUS).
constexpr int kProcessorsMax = 1 << 16;

// /proc and /sys have no sizes, so they are read as streams; a file that is not there is empty.
std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::optional<std::int64_t> leading_number(std::string_view text) {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  return number;
}

using Quota = std::optional<std::int64_t>;  // processors, or bytes

Quota processors(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;  // "max", -1, absent
  return *quota / *period + (*quota % *period != 0 ? 1 : 0);
}

Quota quota_v2(const std::string& directory) {
  const std::string text = contents(directory + "/cpu.max");  // "150000 100000", "max 100000"
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return processors(leading_number(text), leading_number(std::string_view(text).substr(space + 1)));
}

Quota quota_v1(const std::string& directory) {
  return processors(leading_number(contents(directory + "/cpu.cfs_quota_us")),
                    leading_number(contents(directory + "/cpu.cfs_period_us")));
}

// Without a limit v2 says "max", v1 a number near the largest there is.
constexpr std::int64_t kNoMemoryLimit = std::int64_t{1} << 60;

Quota memory(std::optional<std::int64_t> bytes) {
  return bytes && *bytes > 0 && *bytes < kNoMemoryLimit ? bytes : std::nullopt;
}
Quota memory_v2(const std::string& directory) {
  return memory(leading_number(contents(directory + "/memory.max")));
}
Quota memory_v1(const std::string& directory) {
  return memory(leading_number(contents(directory + "/memory.limit_in_bytes")));
}

Quota smaller(Quota a, Quota b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// The smallest quota on the way from `group` up to the mount's root. In a container the path is
// often the host's and not there; the root, which is then the container's own group, still is.
Quota smallest_above(const std::string& mount, std::string group,
                     Quota (*read)(const std::string&)) {
  Quota smallest = read(mount);
  while (group.size() > 1) {
    smallest = smaller(smallest, read(mount + group));
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  return smallest;
}

bool lists(std::string_view controllers, std::string_view wanted) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == wanted) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

// The smallest limit of a controller that the process's own groups and those above them have.
Quota smallest_limit(const std::string& root, std::string_view controller,
                     Quota (*v2)(const std::string&), Quota (*v1)(const std::string&)) {
  Quota smallest;
  std::istringstream lines(contents(root + "/proc/self/cgroup"));  // id:controllers:path
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    const std::string cgroups = root + "/sys/fs/cgroup";
    if (controllers.empty()) {
      smallest = smaller(smallest, smallest_above(cgroups, group, v2));
    } else if (lists(controllers, controller)) {
      smallest = smaller(smallest, smallest_above(cat(cgroups, "/", controllers), group, v1));
    }
  }
  return smallest;
}

unsigned affinity_processors() {
  const auto release = [](cpu_set_t* set) { CPU_FREE(set); };
  for (int count = 1024; count <= kProcessorsMax; count *= 2) {
    const std::unique_ptr<cpu_set_t, decltype(release)> set(CPU_ALLOC(count), release);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(count);
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) == 0) {
      return static_cast<unsigned>(std::max(1, CPU_COUNT_S(bytes, set.get())));
    }
  }
  return 1;
}

}  // namespace

std::optional<unsigned> internal::quota_processors(const std::string& root) {
  const Quota smallest = smallest_limit(root, "cpu", quota_v2, quota_v1);
  if (!smallest) return std::nullopt;
  return static_cast<unsigned>(std::min<std::int64_t>(*smallest, kProcessorsMax));
}

std::optional<std::uint64_t> internal::cgroup_memory_limit(const std::string& root) {
  const Quota smallest = smallest_limit(root, "memory", memory_v2, memory_v1);
  if (!smallest) return std::nullopt;
  return static_cast<std::uint64_t>(*smallest);
}

std::optional<std::uint64_t> cgroup_memory_limit() { return internal::cgroup_memory_limit(""); }

unsigned usable_processors() {
  const unsigned allowed = affinity_processors();
  return std::max(1u, std::min(allowed, internal::quota_processors("").value_or(allowed)));
}

}  // namespace thaw
