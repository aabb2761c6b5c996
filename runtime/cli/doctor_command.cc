#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/memory_limit.h"
#include "base/str.h"
#include "base/thread_pool.h"
#include "handler/model/plan.h"
#include "kernels/kernels.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"
#include "snapshot/reader.h"

namespace thaw::cli {
namespace {

using nlohmann::json;

struct Finding {
  std::string topic;
  std::string text;
  bool is_warning = false;
};

// A small file of the kernel's own, which has no size until it is read; empty where there is none.
std::string system_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The first number after `key` in such a file; nothing where it cannot be had.
std::optional<std::uint64_t> number_in(const std::string& path, std::string_view key) {
  const std::string text = system_text(path);
  std::size_t at = key.empty() ? 0 : text.find(key);
  if (at == std::string::npos) return std::nullopt;
  at = text.find_first_of("0123456789", at + key.size());
  if (at == std::string::npos) return std::nullopt;
  std::uint64_t value = 0;
  std::from_chars(text.data() + at, text.data() + text.size(), value);
  return value;
}

// Bytes that this process may still use: what the machine has, bounded by its cgroup.
std::optional<std::uint64_t> usable_memory() {
  const auto kilobytes = number_in("/proc/meminfo", "MemAvailable:");
  if (!kilobytes) return std::nullopt;
  std::uint64_t bytes = *kilobytes * 1024;
  const auto limit = cgroup_memory_limit();
  if (limit) {
    const std::uint64_t used = number_in("/sys/fs/cgroup/memory.current", {}).value_or(0);
    bytes = std::min(bytes, *limit > used ? *limit - used : 0);
  }
  return bytes;
}

std::string join_sets() {
  std::string names;
  for (const kernels::KernelSet* set : kernels::available()) {
    names += names.empty() ? "" : ", ";
    names += set->name;
  }
  return names;
}

// The part of a file that lies in the page cache.
double cached_fraction(Bytes bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes.size() + page - 1) / page);
  void* start = const_cast<std::byte*>(bytes.data());  // mincore only looks
  if (pages.empty() || mincore(start, bytes.size(), pages.data()) != 0) return 0;
  std::size_t cached = 0;
  for (const unsigned char in : pages) cached += in & 1;
  return static_cast<double>(cached) / static_cast<double>(pages.size());
}

void machine_findings(std::vector<Finding>& to) {
  to.push_back({"kernels", cat(join_sets(), " (fastest first)")});
  if (kernels::available().size() == 1) {
    to.push_back(
        {"kernels", "no vector instructions thaw knows: expect it to be 20 times slower", true});
  }
  const unsigned usable = usable_processors();
  const auto online = static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  to.push_back({"processors", cat(usable, " usable of ", online)});
  if (const auto memory = usable_memory()) {
    to.push_back({"memory", cat(megabytes(*memory), " available to this process")});
  }
  const std::string pages = system_text("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = pages.find('[');
  const std::size_t close = pages.find(']');
  if (open != std::string::npos && close != std::string::npos) {
    to.push_back({"huge pages", pages.substr(open + 1, close - open - 1)});
  }
}

Result<Done> snapshot_findings(const std::string& path, const Context& context,
                               std::vector<Finding>& to) {
  THAW_TRY(reader, snapshot::Reader::open(context.files, path));
  THAW_TRY(plan, model::Plan::make(*reader));
  to.push_back(
      {"snapshot", cat(megabytes(reader->file_bytes()), ", KV cache ",
                       megabytes(plan.kv_block_bytes() / kernels::kKvBlockPositions), " a token")});
  const auto weights = reader->section(snapshot::SectionType::kWeights);
  if (weights) {
    const double cached = cached_fraction(*weights);
    to.push_back({"page cache", cat(decimal(cached * 100, 0), " % of the weights"),
                  /*is_warning=*/cached < 0.99});
  }
  const std::uint64_t context_kv =
      plan.kv_block_bytes() / kernels::kKvBlockPositions * plan.config.context_tokens;
  if (const auto memory = usable_memory()) {
    const std::uint64_t want = reader->file_bytes() + (32u << 20);
    if (*memory < want) {
      to.push_back({"memory",
                    cat("the model wants ", megabytes(want), ", there are ", megabytes(*memory),
                        ": it will read the disk again and again"),
                    true});
    } else if (*memory < want + context_kv) {
      to.push_back({"memory",
                    cat("enough for the model, but not for a full context of ",
                        plan.config.context_tokens, " tokens (", megabytes(context_kv), ")"),
                    true});
    }
  }
  return Done{};
}

}  // namespace

Result<Done> doctor(const DoctorArguments& arguments, const Context& context) {
  std::vector<Finding> findings;
  machine_findings(findings);
  if (!arguments.path.empty()) {
    THAW_TRY_DO(snapshot_findings(arguments.path, context, findings));
  }
  if (arguments.json) {
    json all = json::array();
    for (const Finding& finding : findings) {
      all.push_back(
          {{"topic", finding.topic}, {"text", finding.text}, {"warning", finding.is_warning}});
    }
    std::fprintf(context.out, "%s\n", json{{"findings", all}}.dump(2).c_str());
    return Done{};
  }
  Table table({});
  for (const Finding& finding : findings) {
    table.add({finding.is_warning ? "warn" : "ok", finding.topic, finding.text});
  }
  table.print(context.out);
  return Done{};
}

}  // namespace thaw::cli
