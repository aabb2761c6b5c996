// What an emulator plays: functions, limits, addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "warmpool/pool.h"

namespace thaw::emulator {

struct FunctionOptions {
  std::string name;                // letters, digits, '-', '_'; at most 64, as on AWS
  std::string snapshot;            // a path; its folder becomes LAMBDA_TASK_ROOT, its name _HANDLER
  std::uint32_t memory_mb = 3008;  // told to the function and the log; not enforced
  std::chrono::milliseconds timeout = std::chrono::seconds(300);  // AWS allows 900 s
  // The function URL's invoke mode: RESPONSE_STREAM, or BUFFERED, which holds a streamed answer
  // back until it is whole.
  bool url_streams = true;
  std::vector<std::string> environment;  // more "NAME=value" for its processes
  warmpool::FunctionLimits pool;
};

struct Options {
  std::string bootstrap;           // a path
  std::string host = "127.0.0.1";  // loopback, unless the user asks for more
  std::uint16_t port = 9000;       // 0: any free one
  std::vector<FunctionOptions> functions;
  std::string region = "us-east-1";
  std::chrono::milliseconds init_max = std::chrono::seconds(10);  // AWS's, on demand
  std::size_t connections_max = 256;
};

}  // namespace thaw::emulator
