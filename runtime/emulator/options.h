// What an emulator plays: functions, limits, addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/emulator/async_settings.h"
#include "runtime/emulator/cors.h"
#include "runtime/emulator/faults.h"
#include "runtime/emulator/ledger.h"
#include "runtime/emulator/platform_events.h"
#include "runtime/emulator/routes.h"
#include "warmpool/pool.h"

namespace thaw::emulator {

struct FunctionOptions {
  std::string name;                // letters, digits, '-', '_'; at most 64, as on AWS
  std::string snapshot;            // a path; its folder becomes LAMBDA_TASK_ROOT, its name _HANDLER
  std::uint32_t memory_mb = 3008;  // of the function's own (memory_watch.h); beyond it is killed
  std::chrono::milliseconds timeout = std::chrono::seconds(300);  // AWS allows 900 s
  // The function URL's invoke mode: RESPONSE_STREAM, or BUFFERED, which holds a streamed answer
  // back until it is whole.
  bool url_streams = true;
  std::optional<Cors> cors;  // of the function URL; nothing: the function's own business
  std::vector<std::string> environment;  // more "NAME=value" for its processes
  bool snap_start = false;  // told so, and frozen once between its start and its first event
  // More than one invocations_per_instance: as on Lambda Managed Instances, where nothing is frozen
  // and an invocation that runs out of time ends neither its instance nor itself.
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
  std::string extensions;  // a folder of executables to start beside each instance; empty: none
  LogFormat log_format = LogFormat::kText;  // of the platform's own lines
  bool freezes = true;                      // instances between invocations, as Lambda does
  bool always_cold = false;                 // no instance is used twice
  bool drop_cache = false;  // a snapshot's pages leave the page cache before each start
  // Hears what became of each invocation, on a thread of the emulator's; may be empty.
  std::function<void(const LedgerEntry&)> recorded;
  std::vector<Fault> faults;
  std::uint64_t fault_seed = 1;
};

}  // namespace thaw::emulator
