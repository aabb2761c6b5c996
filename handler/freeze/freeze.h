// Source in, snapshot out. Never linked into `bootstrap`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/freeze/convert.h"
#include "handler/text/chat_template.h"
#include "handler/text/tokenizer.h"

namespace thaw::freeze {

inline constexpr std::size_t kPrefixFileBytesMax = 16u << 20;  // longer than any context

// How the prompts begin that a prefix is for: the text of a bare prompt, a conversation (its last
// message goes on if it is the user's, else a user's message follows), or tokens.
struct PrefixSource {
  std::string name;  // of the section
  std::string file;  // its name, as the manifest in the snapshot has it
  std::variant<std::string, std::vector<text::Message>, std::vector<text::Token>> opening;
};

// A file given with --prefix: text; or, where it is called .json, {"messages": [...]} or an array
// of token ids. The prefix has the file's name without folder and extension.
// Errors: kInvalid: contents of another form, or a name that no section can have.
Result<PrefixSource> parse_prefix(std::string_view path, std::string contents);

struct FreezeOptions {
  Weights weights = Weights::kKeep;
  std::optional<std::string> manifest_json;  // replaces the default manifest
  std::optional<std::string> system;         // put before conversations that bring none
  bool chat_template = true;                 // false: leave it out; prompts are then raw text
  // Beside them the system message's is stored, and those that a snapshot as source has.
  std::vector<PrefixSource> prefixes;
  bool no_prefix = false;  // stores none
  std::string kernels;     // the kernel set that computes them; empty: the best
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

struct PrefixReport {  // a stored prefix
  std::string name;
  std::uint32_t tokens = 0;
  std::uint64_t bytes = 0;
  bool computed = true;  // false: copied from the snapshot that was given
};

struct FreezeReport {
  std::string format, name, architecture;
  std::vector<FreezeRow> rows;
  std::uint64_t source_bytes = 0;    // of all tensors
  std::uint64_t snapshot_bytes = 0;  // the file
  std::uint64_t q4k_bytes = 0;       // about what --weights q4k would give, where that is smaller
  std::vector<PrefixReport> prefixes;
  std::vector<std::string> notes;  // one line each, for people
};

// How far it is: bytes of weights written or, where `prefix` names one, its tokens computed.
struct FreezeStep {
  std::string_view prefix;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
using FreezeProgress = std::function<void(const FreezeStep& step)>;

// Freezes `source` (a GGUF file, a Hugging Face directory, or a snapshot, whose weights are then
// taken as they are) to `path`, which appears only when all went well. Deterministic.
// Errors: those of the importers and of files; kInvalid: a manifest, a prefix; kLimit: a prefix
// that leaves the context no room, or too many; kUnsupported: a chat template outside the subset,
// naming the construct.
Result<FreezeReport> freeze(Files& files, const std::string& source, const std::string& path,
                            const FreezeOptions& options, ThreadPool& pool,
                            const FreezeProgress& progress);

}  // namespace thaw::freeze
