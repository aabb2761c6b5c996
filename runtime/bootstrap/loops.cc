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

int run(const Settings& settings, const Environment& environment) {
  switch (settings.platform) {
    case Platform::kLambda: return run_lambda(settings, environment);
    case Platform::kNone: break;
  }
  std::fprintf(stderr,
               "bootstrap: AWS_LAMBDA_RUNTIME_API is not set: this is no Lambda environment; "
               "try `thaw emulate SNAPSHOT`, which makes one\n");
  return kWrongUsage;
}

}  // namespace thaw::bootstrap
