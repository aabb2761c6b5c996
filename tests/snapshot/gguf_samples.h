// A small sound GGUF file, and what opening one gives.
#pragma once

#include <memory>

#include "gguf_builder.h"
#include "memory_files.h"
#include "snapshot/gguf/gguf.h"

namespace thaw::gguf {

// What a Builder gives, opened; `file` outlives what was opened from it.
struct Opened {
  explicit Opened(const Blob& bytes) {
    files.files["m.gguf"] = bytes;
    auto result = File::open(files, "m.gguf");
    if (result) {
      file = std::move(*result);
    } else {
      error = result.error();
    }
  }
  explicit Opened(const Builder& builder) : Opened(builder.build()) {}

  MemoryFiles files;
  std::unique_ptr<File> file;
  Error error;
};

inline Blob data(std::size_t size) {
  Blob bytes(size);
  for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<std::byte>(at * 7 + 1);
  return bytes;
}

inline Builder sound() {
  Builder builder;
  builder.text("general.architecture", "llama")
      .number("llama.block_count", std::uint32_t{2})
      .number("llama.rope.freq_base", 1e4f)
      .texts("tokenizer.ggml.tokens", {"a", "", "bc"})
      .numbers<float>("tokenizer.ggml.scores", {0.5f, -1.0f, 2.0f})
      .number("tokenizer.ggml.add_bos_token", true)
      .tensor("token_embd.weight", Type::kF32, {4, 3}, data(48))
      .tensor("blk.0.attn_q.weight", Type::kQ8_0, {64, 2}, data(136))
      .tensor("output_norm.weight", Type::kF16, {4}, data(8));
  return builder;
}

}  // namespace thaw::gguf
