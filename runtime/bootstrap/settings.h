// What a platform and a person say through the environment, and which loop follows from it. Reads
// through an Environment, so that only main touches the process's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "handler/function.h"

namespace thaw::bootstrap {

struct Environment {
  std::function<std::string(const char* name)> get;  // empty where it is not set
  // An empty value removes it.
  std::function<void(const char* name, const std::string& value)> set;
};

enum class Platform : std::uint8_t {
  kNone,    // nothing says where this is
  kLambda,  // AWS_LAMBDA_RUNTIME_API
  kFc,      // FC_FUNCTION_NAME, FC_CUSTOM_LISTEN_PORT or FC_SERVER_PORT
  kWeb,     // a port is named: Knative, Cloud Run, Azure, OpenFaaS, any
};

// What loops that listen on a port are told.
struct WebSettings {
  std::uint16_t port = 0;
  bool azure = false;             // the port is a custom handler's
  std::uint32_t concurrency = 0;  // THAW_CONCURRENCY; 0: SharedOptions' own
  std::optional<std::chrono::milliseconds> request_time_max;  // THAW_TIMEOUT, seconds
  std::optional<std::chrono::milliseconds> drain_time_max;    // THAW_DRAIN, seconds
};

// What Lambda's variables say, beside the function's own.
struct LambdaSettings {
  bool snap_start = false;        // AWS_LAMBDA_INITIALIZATION_TYPE
  bool metrics = true;            // THAW_METRICS: "emf" or "off"
  std::uint32_t concurrency = 1;  // AWS_LAMBDA_MAX_CONCURRENCY
  std::string function_name;      // AWS_LAMBDA_FUNCTION_NAME
  std::string function_version;   // AWS_LAMBDA_FUNCTION_VERSION
};

struct Settings {
  Platform platform = Platform::kNone;
  std::string runtime_api;  // Lambda's, host:port
  LambdaSettings lambda;
  std::string snapshot;  // THAW_SNAPSHOT
  std::string task_root;
  std::string handler_name;
  std::optional<std::uint64_t> memory_bytes;  // AWS_LAMBDA_FUNCTION_MEMORY_SIZE
  WebSettings web;
  handler::FunctionOptions function;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

// The port is Function Compute's, else FUNCTIONS_CUSTOMHANDLER_PORT, else PORT, else that of
// of-watchdog's upstream URL. Errors: kInvalid: a variable of ours, or a port, with a value that it
// cannot have.
Result<Settings> read_settings(const Environment& environment);

// THAW_SNAPSHOT, else _HANDLER under LAMBDA_TASK_ROOT (FC_FUNCTION_HANDLER under
// FC_FUNC_CODE_PATH), with or without ".thaw"; on Function Compute, where a custom runtime's
// handler has no meaning of its own, else the only snapshot in that folder. Errors: kNotFound.
Result<std::string> find_snapshot(Files& files, const Settings& settings);

}  // namespace thaw::bootstrap
