// Answers the records of an event: several at a time where their order is free, each failing alone,
// the answers returned or written as files, as the manifest says.
#pragma once

#include <vector>

#include "base/file.h"
#include "handler/event/adapter.h"
#include "handler/handler.h"
#include "handler/run.h"

namespace thaw::handler {

// Of answers that go back in one document; Lambda takes 6 MB.
inline constexpr std::size_t kAnswersBytesMax = 4u << 20;

struct Answered {
  std::vector<event::RecordResult> results;  // one for each record, in order
  Usage usage;                               // summed
  GenerationPhases phases;                   // summed
};

// `batch` outlives the results.
Answered answer_batch(const Service& service, const event::Adapter& adapter,
                      const event::Batch& batch, const InvocationContext& context);

// The whole way: read, answer, write in the source's shape.
Outcome answer_records(const Service& service, const event::Adapter& adapter,
                       const json::Value& event, const InvocationContext& context);

// What an invocation fails with whose source takes no failures; nothing where none failed.
std::optional<InvocationError> failure_of(const Answered& answered);

}  // namespace thaw::handler
