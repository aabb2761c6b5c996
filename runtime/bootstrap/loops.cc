#include "runtime/bootstrap/loops.h"

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/memory_limit.h"

namespace thaw::bootstrap {
namespace {

void warn_of_memory(const handler::Function& function, std::optional<std::uint64_t> platform) {
  const auto cgroup = cgroup_memory_limit();
  if (!platform && !cgroup) return;
  const std::uint64_t limit = std::min(platform.value_or(UINT64_MAX), cgroup.value_or(UINT64_MAX));
  if (const std::string warning = function.memory_warning(limit); !warning.empty()) {
    log_warn(warning);
  }
}

}  // namespace

Result<std::unique_ptr<handler::Function>> open_function(const Settings& settings) {
  THAW_TRY(path, find_snapshot(system_files(), settings));
  THAW_TRY(function, handler::Function::open(system_files(), path, settings.function));
  for (const std::string& warning : function->prefixes().warnings()) log_warn(warning);
  warn_of_memory(*function, settings.memory_bytes);
  return std::move(function);
}

web::RunOptions web_options(const Settings& settings) {
  web::RunOptions options;
  options.service.server = web::server_options("0.0.0.0", settings.web.port);
  if (settings.web.drain_time_max) options.service.drain_time_max = *settings.web.drain_time_max;
  if (settings.web.concurrency != 0) options.shared.active_max = settings.web.concurrency;
  return options;
}

int run(const Settings& settings, const Environment& environment) {
  switch (settings.platform) {
    case Platform::kLambda: return run_lambda(settings, environment);
    case Platform::kFc: return run_fc(settings);
    case Platform::kWeb: return run_web(settings);
    case Platform::kNone: break;
  }
  std::fprintf(stderr,
               "bootstrap: neither AWS_LAMBDA_RUNTIME_API, FC_FUNCTION_NAME nor PORT is set: no "
               "platform this "
               "program knows; try 'PORT=8080 bootstrap', or 'thaw emulate SNAPSHOT'\n");
  return kWrongUsage;
}

}  // namespace thaw::bootstrap
