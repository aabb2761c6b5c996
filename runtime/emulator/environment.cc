#include "runtime/emulator/environment.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "base/str.h"

namespace thaw::emulator {

ProcessOptions process_options(const Options& options, const FunctionOptions& function,
                               std::string_view init_type, Clock::Wall now,
                               std::uint64_t instance) {
  std::error_code ignored;
  const std::filesystem::path snapshot = std::filesystem::absolute(function.snapshot, ignored);
  const std::filesystem::path bootstrap = std::filesystem::absolute(options.bootstrap, ignored);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char stream[80];
  std::snprintf(stream, sizeof stream, "%04d/%02d/%02d/[$LATEST]%032llx", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, static_cast<unsigned long long>(instance));

  ProcessOptions process;
  process.program = bootstrap.string();
  process.directory = snapshot.parent_path().string();
  process.environment = {
      cat("_HANDLER=", snapshot.filename().string()),
      cat("LAMBDA_TASK_ROOT=", snapshot.parent_path().string()),
      cat("LAMBDA_RUNTIME_DIR=", bootstrap.parent_path().string()),
      cat("AWS_REGION=", options.region),
      cat("AWS_DEFAULT_REGION=", options.region),
      cat("AWS_LAMBDA_FUNCTION_NAME=", function.name),
      cat("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=", function.memory_mb),
      "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
      cat("AWS_LAMBDA_INITIALIZATION_TYPE=", init_type),
      cat("AWS_LAMBDA_LOG_FORMAT=", options.log_format == LogFormat::kJson ? "JSON" : "Text"),
      "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
      "AWS_XRAY_DAEMON_ADDRESS=169.254.79.129:2000",
      "LANG=en_US.UTF-8",
      "TZ=:UTC",
      "PATH=/usr/local/bin:/usr/bin/:/bin:/opt/bin",
  };
  if (!function.snap_start) {  // copies of one memory have no stream of their own
    process.environment.push_back(cat("AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/", function.name));
    process.environment.push_back(cat("AWS_LAMBDA_LOG_STREAM_NAME=", stream));
  }
  if (function.pool.invocations_per_instance > 1) {
    process.environment.push_back(
        cat("AWS_LAMBDA_MAX_CONCURRENCY=", function.pool.invocations_per_instance));
  }
  // A person reads what the process prints here, and no CloudWatch; a function may ask for it.
  const auto is_metrics = [](const std::string& variable) {
    return variable.starts_with("THAW_METRICS=");
  };
  if (std::none_of(function.environment.begin(), function.environment.end(), is_metrics)) {
    process.environment.emplace_back("THAW_METRICS=off");
  }
  process.environment.insert(process.environment.end(), function.environment.begin(),
                             function.environment.end());
  return process;
}

std::string function_arn(const Options& options, std::string_view name) {
  return cat("arn:aws:lambda:", options.region, ":123456789012:function:", name);
}

}  // namespace thaw::emulator
