// What an emulator plays: functions, limits, addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/emulator/async_settings.h"
#include "runtime/emulator/cors.h"
#include "runtime/emulator/routes.h"
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
  std::optional<Cors> cors;  // of the function URL; nothing: the function's own business
  std::vector<std::string> environment;  // more "NAME=value" for its processes
  warmpool::FunctionLimits pool;
  // What the template reserves; the control API changes it while the emulator runs.
  std::optional<std::uint32_t> reserved_concurrency;
  EventInvokeConfig asynchronous;
  std::string dead_letter;  // a destination (destination.h), or empty
};

struct Options {
  std::string bootstrap;           // a path
  std::string host = "127.0.0.1";  // loopback, unless the user asks for more
  std::uint16_t port = 9000;       // 0: any free one
  std::vector<FunctionOptions> functions;
  std::vector<Api> apis;  // of API Gateway; functions without one have their own
  std::string region = "us-east-1";
  std::chrono::milliseconds init_max = std::chrono::seconds(10);  // AWS's, on demand
  std::size_t connections_max = 256;
  std::uint32_t concurrency_max = 1000;  // of all functions; AWS's default for an account
  // Where asynchronous events are kept, and what relative destinations are relative to.
  std::string state_directory;
  double retry_scale = 1;  // of the waits between attempts of an asynchronous invocation
};

}  // namespace thaw::emulator
