// Starts programs and times them from outside: from posix_spawn to the first byte that comes back,
// on a pipe or as an answer to the Runtime API that is played here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thaw::cold_start {

std::int64_t now_ns();  // of the monotonic clock, as THAW_STARTED_NS wants it

struct Command {
  std::string program;
  std::vector<std::string> arguments;  // without the program
  std::vector<std::string>
      environment;  // "NAME=value", beside the essentials of this process's own
};

// What one start took, in milliseconds from its spawn; and what it said.
struct Timed {
  double next_ms = 0;   // the runtime asked for an event; 0 where none is played
  double first_ms = 0;  // the first byte of the answer
  double end_ms = 0;    // its last
  std::string output;
  std::uint64_t anonymous_bytes = 0;  // at the first byte: /proc/PID/smaps_rollup
};

// A child whose output comes through a pipe. Errors: kIo; kDeadline after `seconds_max`.
Result<Timed> time_pipe(const Command& command, int seconds_max);
// `bootstrap` under a Runtime API that gives it one event: from spawn to the first byte of its
// answer's body. With no event: to /next alone.
Result<Timed> time_function(const Command& command, std::string_view event, int seconds_max);
// A server that is asked as soon as it listens on `port`: from spawn to the first byte of the
// body of the answer to `request` (a whole HTTP request).
Result<Timed> time_server(const Command& command, int port, std::string_view request,
                          int seconds_max);

// Drops a file's pages from the page cache, or reads all of them into it: as the kernel likes to,
// or one by one, so that no two of them make a larger page. Errors: kIo.
Result<Done> drop_cached(const std::string& path);
Result<Done> warm(const std::string& path);
Result<Done> warm_by_small_pages(const std::string& path);

// Bytes per second by the best of several ways to read the file from the disk, its pages dropped
// before each. Errors: kIo.
Result<double> disk_bytes_per_second(const std::string& path);

}  // namespace thaw::cold_start
