#include <nlohmann/json.hpp>

#include "base/str.h"
#include "base/thread_pool.h"
#include "handler/freeze/freeze.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"

namespace thaw::cli {
namespace {

constexpr std::uint64_t kManifestBytesMax = 1 << 20;

thaw::freeze::Weights weights_named(const std::string& name) {
  using thaw::freeze::Weights;
  if (name == "q8") return Weights::kQ8;
  if (name == "q4") return Weights::kQ4;
  if (name == "q4m") return Weights::kQ4m;
  if (name == "q4k") return Weights::kQ4k;
  return Weights::kKeep;
}

// A bar on a terminal, nothing elsewhere.
class Progress {
 public:
  explicit Progress(const Context& context) : context_(context) {}
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", context_.err);
  }
  void show(std::uint64_t done, std::uint64_t total) {
    if (!context_.shows_progress || total == 0) return;
    constexpr std::uint64_t kWidth = 40;
    const auto filled = static_cast<std::size_t>(done * kWidth / total);
    std::fprintf(context_.err, "\rfreezing [%s%s] %s of %s", std::string(filled, '#').c_str(),
                 std::string(kWidth - filled, '.').c_str(), megabytes(done).c_str(),
                 megabytes(total).c_str());
    std::fflush(context_.err);
    shown_ = true;
  }

 private:
  const Context& context_;
  bool shown_ = false;
};

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
  const nlohmann::json all = {{"output", arguments.output},
                              {"name", report.name},
                              {"architecture", report.architecture},
                              {"format", report.format},
                              {"bytes", report.snapshot_bytes},
                              {"source_bytes", report.source_bytes},
                              {"seconds", seconds},
                              {"tensors", tensors},
                              {"notes", report.notes}};
  std::fprintf(context.out, "%s\n",
               all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
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
  ThreadPool pool(context.threads == 0 ? usable_processors() : context.threads);
  const auto begin = context.clock.now();
  auto report = [&] {
    Progress progress(context);
    return thaw::freeze::freeze(
        context.files, arguments.source, arguments.output, options, pool,
        [&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
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
