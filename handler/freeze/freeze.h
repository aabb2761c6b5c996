// Source in, snapshot out. Never linked into `bootstrap`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/freeze/convert.h"

namespace thaw::freeze {

struct FreezeOptions {
  Weights weights = Weights::kKeep;
  std::optional<std::string> manifest_json;  // replaces the default manifest
  std::optional<std::string> system;         // put before conversations that bring none
  bool chat_template = true;                 // false: leave it out; prompts are then raw text
};

// One line of the table that `freeze` prints: all tensors of a role that went the same way.
struct FreezeRow {
  std::string tensors;  // "layers.*.query"
  std::string from;     // "Q4_1"
  std::string_view to;  // "q4m"
  bool is_exact = true;
  std::uint32_t count = 0;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;  // in the snapshot
};

struct FreezeReport {
  std::string format, name, architecture;
  std::vector<FreezeRow> rows;
  std::uint64_t source_bytes = 0;    // of all tensors
  std::uint64_t snapshot_bytes = 0;  // the file
  std::uint64_t q4k_bytes = 0;       // about what --weights q4k would give, where that is smaller
  std::vector<std::string> notes;    // one line each, for people
};

// Called now and then with the bytes of weights written, of `total`.
using FreezeProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Freezes `source` (a GGUF file, a Hugging Face directory, or a snapshot, whose weights are then
// taken as they are) to `path`, which appears only when all went well. Deterministic.
// Errors: those of the importers and of files; kInvalid: a manifest; kUnsupported: a chat template
// outside the subset, naming the construct.
Result<FreezeReport> freeze(Files& files, const std::string& source, const std::string& path,
                            const FreezeOptions& options, ThreadPool& pool,
                            const FreezeProgress& progress);

}  // namespace thaw::freeze
