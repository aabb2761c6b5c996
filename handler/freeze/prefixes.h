// Token prefixes at freeze time: which tokens, and their KV cache, computed or copied. Internal to
// freeze.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/freeze/freeze.h"
#include "handler/manifest.h"
#include "handler/model/prefix.h"
#include "snapshot/writer.h"

namespace thaw::freeze {

// What `write_prefixes` works with.
struct PrefixContext {
  const snapshot::Sections& sections;  // with weights, tokenizer and template
  const handler::Manifest& manifest;
  std::string_view kernels;  // a kernel set's name; empty: the best
  ThreadPool& pool;
};

// The prefixes that a snapshot is to have.
struct PrefixPlan {
  bool system = false;                            // the manifest's system message
  std::vector<PrefixSource> sources;              // replace those kept of the same name
  const snapshot::Sections* kept_from = nullptr;  // a snapshot of the same weights; null: none
};

// Writes the identity of what `context.sections` holds, then every prefix's head, then every
// prefix's KV cache: the system message's first, then those kept, then the sources in order.
// `notes` gets a line for each prefix that is left out.
// Errors: kInvalid  two of one name, or an opening that the template refuses or that has no token
//         kLimit    more than model::kPrefixesMax, or tokens that leave the context no room
//         kCorrupt  logits that are not finite
//         kIo, kUnsupported (the kernel set)
Result<std::vector<PrefixReport>> write_prefixes(snapshot::Writer& writer, const PrefixPlan& plan,
                                                 const PrefixContext& context,
                                                 const FreezeProgress& progress,
                                                 std::vector<std::string>& notes);

}  // namespace thaw::freeze
