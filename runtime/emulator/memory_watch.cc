#include "runtime/emulator/memory_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/str.h"

namespace thaw::emulator {
namespace {

std::string read_small(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::array<char, 4096> buffer;
  std::string text;
  ssize_t got = 0;
  while ((got = ::read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

std::uint64_t kib_behind(std::string_view status, std::string_view key) {
  const std::size_t at = status.find(key);
  if (at == status.npos) return 0;
  const std::size_t digit = status.find_first_of("0123456789", at + key.size());
  std::uint64_t value = 0;
  if (digit == status.npos) return 0;
  std::from_chars(status.data() + digit, status.data() + status.size(), value);
  return value << 10;
}

// The process group of `pid`, from "PID (NAME) STATE PARENT GROUP ...", where NAME may hold
// anything.
pid_t group_of(std::string_view pid) {
  const std::string stat = read_small(cat("/proc/", pid, "/stat"));
  std::size_t at = stat.rfind(')');
  for (int field = 0; field < 3 && at != stat.npos; ++field) at = stat.find(' ', at + 1);
  pid_t group = 0;
  if (at != stat.npos) std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), group);
  return group;
}

}  // namespace

HeldMemory memory_of_process(pid_t pid) {
  const std::string status = read_small(cat("/proc/", pid, "/status"));
  const std::uint64_t own = kib_behind(status, "RssAnon:") + kib_behind(status, "RssShmem:");
  return {own, own + kib_behind(status, "RssFile:")};
}

HeldMemory memory_of_group(pid_t group) {
  HeldMemory sum;
  DIR* const processes = ::opendir("/proc");
  if (processes == nullptr) return memory_of_process(group);
  while (const dirent* const entry = ::readdir(processes)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    if (group_of(entry->d_name) != group) continue;
    const HeldMemory one = memory_of_process(static_cast<pid_t>(std::atol(entry->d_name)));
    sum.own_bytes += one.own_bytes;
    sum.resident_bytes += one.resident_bytes;
  }
  ::closedir(processes);
  return sum;
}

}  // namespace thaw::emulator
