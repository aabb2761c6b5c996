// Where each tensor goes in the snapshot, and the writing of them, some panels at a time. Internal
// to freeze.cc.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/freeze/freeze.h"
#include "handler/freeze/source.h"
#include "snapshot/writer.h"

namespace thaw::freeze {

struct PlacedTensor {
  const SourceTensor* source = nullptr;
  model::TensorEntry entry{};
  bool is_exact = true;
};

// Every tensor's kind, section and offset, in the order the forward pass reads them; an untied
// embedding last, in its own section. Borrows `source`.
// Errors: kCorrupt: a tensor that is missing, doubled or of another shape than the config says;
// kUnsupported: an element type, or a config that this build cannot evaluate.
Result<std::vector<PlacedTensor>> lay_out_weights(const ModelSource& source, Weights weights);

// Errors: kIo, kCorrupt (a weight that is not finite).
Result<Done> write_weights(snapshot::Writer& writer, const std::vector<PlacedTensor>& layout,
                           ThreadPool& pool, const FreezeProgress& progress);

// Fills the report's rows, sizes and notes.
void summarise(const std::vector<PlacedTensor>& layout, FreezeReport& report);

}  // namespace thaw::freeze
