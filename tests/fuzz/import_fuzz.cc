// Whole imports: a GGUF file, or a Hugging Face directory, from bytes to a snapshot and a plan.
//
// Input: a GGUF file as it is; or "DIR1" and then, four times, u32 length and bytes: config.json,
// tokenizer.json, tokenizer_config.json, model.safetensors.

#include <cstdint>

#include "base/check.h"
#include "handler/freeze/freeze.h"
#include "handler/model/plan.h"
#include "handler/model/prefix.h"
#include "snapshot/reader.h"
#include "tests/snapshot/memory_files.h"

namespace thaw {
namespace {

constexpr std::uint32_t kDirectory = 0x31524944;  // "DIR1"

// Memory has no directories; this one says that "dir" is one.
class WithDirectory final : public Files {
 public:
  explicit WithDirectory(MemoryFiles& files) : files_(files) {}
  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    return files_.map(path);
  }
  Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
    return files_.open(path);
  }
  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override {
    return files_.create(path);
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    return files_.list(path);
  }
  Result<DirectoryEntry> stat(const std::string& path) override {
    if (path == "dir") return DirectoryEntry{"dir", true, 0};
    return files_.stat(path);
  }

 private:
  MemoryFiles& files_;
};

void import_all(Bytes input) {
  MemoryFiles memory;
  WithDirectory files(memory);
  std::string source = "model.gguf";
  if (load_at<std::uint32_t>(input, 0) == kDirectory) {
    source = "dir";
    std::size_t at = 4;
    for (const char* name :
         {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}) {
      const auto length = load_at<std::uint32_t>(input, at);
      if (!length || *length > input.size() - at - 4) break;
      const Bytes bytes = input.subspan(at + 4, *length);
      memory.files[std::string("dir/") + name] = {bytes.begin(), bytes.end()};
      at += 4 + *length;
    }
  } else {
    memory.files[source] = {input.begin(), input.end()};
  }
  ThreadPool pool(1);
  const auto frozen = freeze::freeze(files, source, "out", {}, pool, {});
  if (!frozen) {
    THAW_CHECK(!memory.files.contains("out"));
    THAW_CHECK(frozen.error().message.find('\n') == std::string::npos);
    return;
  }
  const auto reader = snapshot::Reader::open(files, "out");
  THAW_CHECK(reader.has_value());
  THAW_CHECK((*reader)->verify().has_value());
  const auto plan = model::Plan::make(**reader);
  THAW_CHECK(plan.has_value());

  // The same with prefixes: whatever the model, its template and its tokenizer make of them.
  freeze::FreezeOptions options;
  options.system = "Be brief.";
  options.prefixes = {{"text", "text.txt", std::string("Once upon a time")},
                      {"ids", "ids.json", std::vector<text::Token>{0}}};
  const auto again = freeze::freeze(files, "out", "again", options, pool, {});
  if (!again) {
    THAW_CHECK(!memory.files.contains("again"));
    THAW_CHECK(again.error().message.find('\n') == std::string::npos);
    return;
  }
  const auto prefixed = snapshot::Reader::open(files, "again");
  THAW_CHECK(prefixed.has_value());
  const auto prefixes = model::Prefixes::open(**prefixed, *plan);
  THAW_CHECK(prefixes.has_value());
  THAW_CHECK(prefixes->warnings().empty());
  THAW_CHECK(prefixes->all().size() == again->prefixes.size());
}

}  // namespace
}  // namespace thaw

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  thaw::import_all({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
