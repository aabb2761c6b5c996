// What an importer finds in a foreign model, in one shape for all formats: facts of the
// architecture, tensors where they lie in their files, tokenizer, chat template.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "handler/model/config.h"
#include "handler/text/tokenizer.h"
#include "snapshot/gguf/gguf.h"

namespace thaw::freeze {

// A tensor in its file. Element types of all formats have GGUF's numbers.
struct SourceTensor {
  model::Role role{};
  std::uint32_t layer = 0;
  std::string name;  // as the file spells it, for messages
  gguf::Type type{};
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  Bytes bytes;  // row by row; lives as long as the ModelSource
};

// A foreign model, opened. Immutable.
class ModelSource {
 public:
  virtual ~ModelSource() = default;

  model::Config config{};                 // version, rope_* and scales included
  std::vector<std::uint64_t> rope_turns;  // [config.rope_pairs], ARITHMETIC.md "rope"
  std::vector<SourceTensor> tensors;      // any order
  text::TokenizerSource tokenizer;
  std::string chat_template;  // Jinja; empty where the model has none
  std::string format;         // "GGUF", "Hugging Face"
  std::string name;           // what the model calls itself; may be empty
  std::string license;        // may be empty
};

// Errors of both: kNotFound, kIo, kCorrupt; kUnsupported: an architecture, rope scaling, tokenizer
// or tensor this build cannot evaluate, named.
Result<std::unique_ptr<ModelSource>> open_gguf(Files& files, const std::string& path);
Result<std::unique_ptr<ModelSource>> open_hugging_face(Files& files, const std::string& directory);

}  // namespace thaw::freeze
