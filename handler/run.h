// Runs one request through the generator and delivers its answer: whole, or as a stream that begins
// with the first text, so that what fails before it is still an error and no half answer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "handler/answer.h"
#include "handler/gate.h"
#include "handler/generator.h"
#include "handler/handler.h"
#include "handler/metrics.h"
#include "handler/request.h"

namespace thaw::handler {

// What answering needs, borrowed.
struct Service {
  Generator& generator;
  const Manifest& manifest;
  Clock& clock;
  const Gate& gate;
  Files& files;
  Metrics& metrics;
};

enum class Delivery : unsigned char {
  kWhole,           // one document in `body`
  kStream,          // to the responder
  kBufferedStream,  // a stream's text in `body`: asked for as a stream, but it cannot be one
};

inline constexpr std::size_t kAnswerBytesMax = 4u << 20;  // of text held back; Lambda takes 6 MB
// Of scores held back with a whole answer; one with 20 alternatives is a kilobyte and a half.
inline constexpr std::size_t kScoredTokensMax = 65536;

// A stream that has sent nothing for this long sends a comment, which may be its begin. Less than
// half of the shortest idle limit on the way (30 s at an API Gateway's edge).
inline constexpr std::chrono::seconds kKeepAliveEvery{10};

struct Ran {
  bool streamed = false;          // something went to the responder
  std::string body;               // of kWhole and kBufferedStream, unless `error`
  std::optional<ApiError> error;  // also mid-stream; there the caller has been told already
  FinishReason finish_reason = FinishReason::kStop;
  Usage usage;
  GenerationPhases phases;
  std::string timing;  // as server_timing() tells it
};

// `request` is whole again afterwards.
Ran run(const Service& service, Request& request, const AnswerHead& head, Delivery delivery,
        const StreamHead& stream_head, Responder& responder);

// Several together, each answered whole, as a direct event is; one result for each, in order.
std::vector<Ran> run_all(const Service& service, std::span<Request* const> requests,
                         const InvocationContext& context, Responder& responder);

// Has generation end so that the answer still gets out before the platform's deadline.
void set_deadline(GenerationRequest& request, const InvocationContext& context, const Clock& clock);

AnswerHead answer_head(const Service& service, Shape shape, const Request& request,
                       const InvocationContext& context);

// "Function.InvalidRequest" and its like, as platforms count them.
InvocationError invocation_error(const ApiError& error);

}  // namespace thaw::handler
