// Fuzzes the GGUF reader: whatever the bytes, open answers, and all that it lends out can be read
// and dequantised.
#include <algorithm>

#include "../snapshot/memory_files.h"
#include "base/check.h"
#include "snapshot/gguf/gguf.h"

namespace {

using namespace thaw;

void ask_for(const gguf::File& file, std::string_view key) {
  if (!file.has(key)) {
    THAW_CHECK(!file.integer(key) && !file.text(key) && !file.numbers(key));
    return;
  }
  const int answers = (file.number(key) ? 1 : 0) + (file.boolean(key) ? 1 : 0) +
                      (file.text(key) ? 1 : 0) + (file.texts(key) ? 1 : 0) +
                      (file.numbers(key) ? 1 : 0);
  THAW_CHECK(answers <= 1);
  THAW_CHECK(!file.integer(key) || file.number(key));
  THAW_CHECK(!file.integers(key) || file.numbers(key));
  std::size_t letters = 0;
  if (const auto texts = file.texts(key)) {
    for (const std::string_view text : *texts)
      letters += static_cast<std::size_t>(std::count(text.begin(), text.end(), 'a'));
  }
  if (const auto text = file.text(key))
    letters += static_cast<std::size_t>(std::count(text->begin(), text->end(), 'a'));
  THAW_CHECK(letters < std::size_t{1} << 40);
}

void read_tensor(const gguf::File& file, const gguf::Tensor& tensor) {
  THAW_CHECK(file.find(tensor.name) == &tensor);
  const gguf::TypeInfo& info = *gguf::find_type(static_cast<std::uint32_t>(tensor.type));
  const std::uint64_t blocks = tensor.bytes.size() / info.block_bytes;
  THAW_CHECK(blocks > 0);
  THAW_CHECK(blocks * info.block_bytes == tensor.bytes.size());
  THAW_CHECK(tensor.cols() * tensor.rows() == blocks * info.block_elements);
  std::vector<float> floats(std::min<std::uint64_t>(blocks, 64) * info.block_elements);
  const auto done = gguf::dequantise(tensor.type, tensor.bytes, floats);
  THAW_CHECK(done.has_value() || done.error().code == Code::kUnsupported);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  MemoryFiles files;
  files.files["m"] = Blob(bytes.begin(), bytes.end());
  const auto file = gguf::File::open(files, "m");
  if (!file) return 0;
  for (const std::string_view key :
       {"general.architecture", "general.alignment", "llama.block_count", "llama.rope.freq_base",
        "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type",
        "tokenizer.ggml.add_bos_token", "a", "b", "c", ""}) {
    ask_for(**file, key);
  }
  for (const gguf::Tensor& tensor : (*file)->tensors()) read_tensor(**file, tensor);
  return 0;
}
