#include "runtime/bootstrap/settings.h"

#include <algorithm>
#include <charconv>

#include "base/str.h"
#include "base/thread_pool.h"
#include "runtime/fc/contract.h"
#include "runtime/lambda/protocol.h"
#include "runtime/lambda/restore.h"

namespace thaw::bootstrap {
namespace {

// The number that a whole text spells; nothing where it spells none that fits.
template <class Number>
std::optional<Number> number_in(const std::string& text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

Platform platform_of(const Settings& settings, const Environment& environment) {
  if (!settings.runtime_api.empty()) return Platform::kLambda;
  for (const char* name : {"FC_FUNCTION_NAME", "FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT"}) {
    if (!environment.get(name).empty()) return Platform::kFc;
  }
  if (settings.web.port != 0) return Platform::kWeb;
  return Platform::kNone;
}

constexpr unsigned kConcurrencyMax = 1000;  // Cloud Run's most
constexpr double kSecondsMax = 24 * 3600;   // FC's longest invocation

// The port in of-watchdog's "http://127.0.0.1:8082"; empty where there is none.
std::string port_of_url(const std::string& url) {
  const std::size_t colon = url.rfind(':');
  if (colon == std::string::npos || url.compare(colon, 3, "://") == 0) return "";
  return url.substr(colon + 1, url.find('/', colon) - colon - 1);
}

Result<Done> read_port(const Environment& environment, WebSettings& web) {
  for (const char* name :
       {"FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT", "FUNCTIONS_CUSTOMHANDLER_PORT", "PORT",
        "http_upstream_url", "upstream_url"}) {
    const std::string value = environment.get(name);
    const bool is_url = std::string_view(name).ends_with("url");
    const std::string text = is_url ? port_of_url(value) : value;
    if (text.empty()) continue;
    web.port = number_in<std::uint16_t>(text).value_or(0);
    web.azure = std::string_view(name) == "FUNCTIONS_CUSTOMHANDLER_PORT";
    if (web.port != 0) return Done{};
    return fail(Code::kInvalid, cat(name, " '", value, "': wanted a port from 1 to 65535"));
  }
  return Done{};
}

Result<std::optional<std::chrono::milliseconds>> read_seconds(const Environment& environment,
                                                              const char* name) {
  const std::string text = environment.get(name);
  if (text.empty()) return std::optional<std::chrono::milliseconds>();
  const double seconds = number_in<double>(text).value_or(0);
  if (!(seconds > 0 && seconds <= kSecondsMax)) {
    return fail(Code::kInvalid, cat(name, " '", text, "': wanted seconds, up to ", kSecondsMax));
  }
  return std::optional(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

Result<Done> read_web(const Environment& environment, WebSettings& web) {
  THAW_TRY_DO(read_port(environment, web));
  THAW_TRY(request, read_seconds(environment, "THAW_TIMEOUT"));
  web.request_time_max = request;
  THAW_TRY(drain, read_seconds(environment, "THAW_DRAIN"));
  web.drain_time_max = drain;
  if (const std::string text = environment.get("THAW_CONCURRENCY"); !text.empty()) {
    web.concurrency = number_in<unsigned>(text).value_or(0);
    if (web.concurrency == 0 || web.concurrency > kConcurrencyMax) {
      return fail(Code::kInvalid, cat("THAW_CONCURRENCY '", text, "': wanted a number from 1 to ",
                                      kConcurrencyMax));
    }
  }
  return Done{};
}

Result<Done> read_lambda(const Environment& environment, LambdaSettings& settings) {
  settings.snap_start = environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == lambda::kSnapStart;
  // A platform's own variables are not ours to refuse.
  const auto concurrency = number_in<std::uint32_t>(environment.get("AWS_LAMBDA_MAX_CONCURRENCY"));
  settings.concurrency = std::max(concurrency.value_or(1), std::uint32_t{1});
  settings.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME");
  settings.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION");
  const std::string metrics = environment.get("THAW_METRICS");
  if (!metrics.empty() && metrics != "emf" && metrics != "off") {
    return fail(Code::kInvalid, cat("THAW_METRICS '", metrics, "': wanted emf or off"));
  }
  settings.metrics = metrics != "off";
  return Done{};
}

Result<Done> read_function(const Environment& environment, handler::FunctionOptions& function) {
  function.kernels = environment.get("THAW_KERNELS");
  if (const std::string text = environment.get("THAW_THREADS"); !text.empty()) {
    function.threads = number_in<unsigned>(text).value_or(0);
    if (function.threads == 0 || function.threads > ThreadPool::kThreadsMax) {
      return fail(Code::kInvalid, cat("THAW_THREADS '", text, "': wanted a number from 1 to ",
                                      ThreadPool::kThreadsMax));
    }
  }
  function.launched = handler::launcher_stamp(environment.get("THAW_STARTED_NS"));
  if (const std::string verify = environment.get("THAW_VERIFY"); !verify.empty()) {
    THAW_TRY(parsed, snapshot::parse_verify(verify));
    function.verify = parsed;
  }
  if (const std::string paging = environment.get("THAW_PAGING"); !paging.empty()) {
    THAW_TRY(parsed, snapshot::parse_paging(paging));
    function.paging = parsed;
  }
  return Done{};
}

std::optional<std::uint64_t> bytes_of_megabytes(const std::string& text) {
  const auto megabytes = number_in<std::uint64_t>(text);
  if (!megabytes || *megabytes >= (std::uint64_t{1} << 32)) return std::nullopt;
  return *megabytes << 20;
}

void read_fc(const Environment& environment, Settings& settings) {
  if (settings.web.port == 0) settings.web.port = fc::kPort;
  settings.memory_bytes = bytes_of_megabytes(environment.get("FC_FUNCTION_MEMORY_SIZE"));
  settings.task_root = environment.get("FC_FUNC_CODE_PATH");
  if (settings.task_root.empty()) settings.task_root = "/code";
  while (settings.task_root.size() > 1 && settings.task_root.ends_with('/')) {
    settings.task_root.pop_back();
  }
  settings.handler_name = environment.get("FC_FUNCTION_HANDLER");
}

// The path of the only snapshot in a folder; empty where there is none, or more than one.
std::string only_snapshot_in(Files& files, const std::string& folder) {
  const auto entries = files.list(folder);
  std::string found;
  if (!entries) return found;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.is_directory || !entry.name.ends_with(".thaw")) continue;
    if (!found.empty()) return "";
    found = cat(folder, "/", entry.name);
  }
  return found;
}

}  // namespace

Result<Settings> read_settings(const Environment& environment) {
  Settings settings;
  settings.runtime_api = environment.get("AWS_LAMBDA_RUNTIME_API");
  settings.snapshot = environment.get("THAW_SNAPSHOT");
  settings.task_root = environment.get("LAMBDA_TASK_ROOT");
  settings.handler_name = environment.get("_HANDLER");
  THAW_TRY_DO(read_function(environment, settings.function));
  THAW_TRY_DO(read_web(environment, settings.web));
  THAW_TRY_DO(read_lambda(environment, settings.lambda));
  // A platform's own variables are not ours to refuse.
  settings.memory_bytes = bytes_of_megabytes(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
  if (const std::string level = environment.get("THAW_LOG"); !level.empty()) {
    THAW_TRY(parsed, parse_log_level(level));
    settings.log_level = parsed;
  } else if (const auto wanted = lambda::log_level_of(environment.get("AWS_LAMBDA_LOG_LEVEL"))) {
    settings.log_level = *wanted;
  }
  if (environment.get("AWS_LAMBDA_LOG_FORMAT") == "JSON") settings.log_format = LogFormat::kJson;
  settings.platform = platform_of(settings, environment);
  if (settings.platform == Platform::kFc) read_fc(environment, settings);
  return settings;
}

Result<std::string> find_snapshot(Files& files, const Settings& settings) {
  if (!settings.snapshot.empty()) return settings.snapshot;
  const std::string& root = settings.task_root;
  const bool is_fc = settings.platform == Platform::kFc;
  const std::string only = is_fc ? only_snapshot_in(files, root) : "";
  if (settings.handler_name.empty() && only.empty()) {
    return fail(Code::kNotFound,
                "find the snapshot: neither THAW_SNAPSHOT nor _HANDLER is set; set one of them to "
                "a snapshot's name");
  }
  const std::string plain =
      root.empty() ? settings.handler_name : cat(root, "/", settings.handler_name);
  for (const std::string& path : {plain, plain + ".thaw"}) {
    const auto found = files.stat(path);
    if (found && !found->is_directory) return path;
  }
  if (!only.empty()) return only;
  return fail(Code::kNotFound, cat("find the snapshot: neither '", plain, "' nor '", plain,
                                   ".thaw' is there; set _HANDLER or THAW_SNAPSHOT to one"));
}

}  // namespace thaw::bootstrap
