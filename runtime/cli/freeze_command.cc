#include <nlohmann/json.hpp>

#include "base/str.h"
#include "base/thread_pool.h"
#include "handler/freeze/freeze.h"
#include "handler/manifest.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"

namespace thaw::cli {
namespace {

constexpr std::uint64_t kManifestBytesMax = 2 << 20;  // a system message of 1 MiB, and the rest

thaw::freeze::Weights weights_named(const std::string& name) {
  using thaw::freeze::Weights;
  if (name == "q8") return Weights::kQ8;
  if (name == "q4") return Weights::kQ4;
  if (name == "q4m") return Weights::kQ4m;
  if (name == "q4k") return Weights::kQ4k;
  return Weights::kKeep;
}

void show(const thaw::freeze::FreezeStep& step, Progress& progress) {
  if (step.prefix.empty()) {
    progress.show("freezing", step.done, step.total,
                  cat(megabytes(step.done), " of ", megabytes(step.total)));
  } else {
    progress.show(cat("prefix ", step.prefix), step.done, step.total,
                  cat(step.done, " of ", step.total, " tokens"));
  }
}

void print(const thaw::freeze::FreezeReport& report, const FreezeArguments& arguments,
           double seconds, const Context& context) {
  if (!report.rows.empty()) {
    Table table({2, 4, 5});
    table.add({"tensors", "from", "count", "to", "bytes", "bits/weight", ""});
    for (const auto& row : report.rows) {
      table.add(
          {row.tensors, row.from, cat(row.count), std::string(row.to), megabytes(row.bytes),
           decimal(8.0 * static_cast<double>(row.bytes) / static_cast<double>(row.weights), 2),
           row.is_exact ? "exact" : "requantised"});
    }
    table.print(context.out);
  }
  for (const auto& prefix : report.prefixes) {
    std::fprintf(context.out, "prefix %s: %u tokens, %s, %s\n", prefix.name.c_str(), prefix.tokens,
                 megabytes(prefix.bytes).c_str(), prefix.computed ? "computed" : "as it was");
  }
  for (const std::string& note : report.notes)
    std::fprintf(context.out, "note: %s\n", note.c_str());
  std::fprintf(context.out, "%s: %s%s%s, %s in %s s\n", arguments.output.c_str(),
               report.name.empty() ? "model" : report.name.c_str(),
               report.architecture.empty() ? "" : ", ", report.architecture.c_str(),
               megabytes(report.snapshot_bytes).c_str(), decimal(seconds, 2).c_str());
  if (report.q4k_bytes > 0 && report.q4k_bytes * 10 < report.snapshot_bytes * 9) {
    std::fprintf(context.out, "smaller: --weights q4k would make it about %s\n",
                 megabytes(report.q4k_bytes).c_str());
  }
}

void print_json(const thaw::freeze::FreezeReport& report, const FreezeArguments& arguments,
                double seconds, const Context& context) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const auto& row : report.rows) {
    tensors.push_back({{"tensors", row.tensors},
                       {"from", row.from},
                       {"to", row.to},
                       {"count", row.count},
                       {"bytes", row.bytes},
                       {"exact", row.is_exact}});
  }
  nlohmann::json prefixes = nlohmann::json::array();
  for (const auto& prefix : report.prefixes) {
    prefixes.push_back({{"name", prefix.name},
                        {"tokens", prefix.tokens},
                        {"bytes", prefix.bytes},
                        {"computed", prefix.computed}});
  }
  const nlohmann::json all = {{"output", arguments.output},
                              {"name", report.name},
                              {"architecture", report.architecture},
                              {"format", report.format},
                              {"bytes", report.snapshot_bytes},
                              {"source_bytes", report.source_bytes},
                              {"seconds", seconds},
                              {"tensors", tensors},
                              {"prefixes", prefixes},
                              {"notes", report.notes}};
  std::fprintf(context.out, "%s\n",
               all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

// The files that the manifest names, relative to its folder, and those given on the command line.
Result<std::vector<thaw::freeze::PrefixSource>> read_prefixes(
    const FreezeArguments& arguments, const std::optional<std::string>& manifest_json,
    const Context& context) {
  std::vector<std::string> paths;
  if (manifest_json) {
    THAW_TRY(manifest, handler::parse_manifest(*manifest_json));
    const std::string folder = arguments.manifest.substr(0, arguments.manifest.rfind('/') + 1);
    for (const std::string& file : manifest.prefixes) {
      paths.push_back(file.starts_with('/') ? file : cat(folder, file));
    }
  }
  paths.insert(paths.end(), arguments.prefixes.begin(), arguments.prefixes.end());
  std::vector<thaw::freeze::PrefixSource> sources;
  for (const std::string& path : paths) {
    THAW_TRY(text, read_text(context.files, path, thaw::freeze::kPrefixFileBytesMax));
    THAW_TRY(source, thaw::freeze::parse_prefix(path, std::move(text)));
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

Result<Done> freeze(const FreezeArguments& arguments, const Context& context) {
  thaw::freeze::FreezeOptions options;
  options.weights = weights_named(arguments.weights);
  options.system = arguments.system;
  options.chat_template = !arguments.no_chat_template;
  if (!arguments.manifest.empty()) {
    THAW_TRY(json, read_text(context.files, arguments.manifest, kManifestBytesMax));
    options.manifest_json = std::move(json);
  }
  options.no_prefix = arguments.no_prefix;
  options.kernels = context.kernels;
  if (!arguments.no_prefix) {
    THAW_TRY(prefixes, read_prefixes(arguments, options.manifest_json, context));
    options.prefixes = std::move(prefixes);
  }
  ThreadPool pool(context.threads == 0 ? usable_processors() : context.threads);
  const auto begin = context.clock.now();
  auto report = [&] {
    Progress progress(context);
    return thaw::freeze::freeze(
        context.files, arguments.source, arguments.output, options, pool,
        [&](const thaw::freeze::FreezeStep& step) { show(step, progress); });
  }();
  if (!report) return std::move(report).error();
  const double seconds = std::chrono::duration<double>(context.clock.now() - begin).count();
  if (arguments.json) {
    print_json(*report, arguments, seconds, context);
  } else {
    print(*report, arguments, seconds, context);
  }
  return Done{};
}

}  // namespace thaw::cli
