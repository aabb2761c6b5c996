// Runs one request through the generator and delivers its answer: whole, or as a stream that begins
// with the first text, so that what fails before it is still an error and no half answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "handler/answer.h"
#include "handler/generator.h"
#include "handler/handler.h"
#include "handler/request.h"

namespace thaw::handler {

// What answering needs, borrowed.
struct Service {
  Generator& generator;
  const Manifest& manifest;
  Clock& clock;
};

enum class Delivery : unsigned char {
  kWhole,           // one document in `body`
  kStream,          // to the responder
  kBufferedStream,  // a stream's text in `body`: asked for as a stream, but it cannot be one
};

inline constexpr std::size_t kAnswerBytesMax = 4u << 20;  // of text held back; Lambda takes 6 MB

struct Ran {
  bool streamed = false;          // something went to the responder
  std::string body;               // of kWhole and kBufferedStream, unless `error`
  std::optional<ApiError> error;  // also mid-stream; there the caller has been told already
  FinishReason finish_reason = FinishReason::kStop;
  Usage usage;
};

Ran run(const Service& service, const Request& request, const AnswerHead& head, Delivery delivery,
        const StreamHead& stream_head, Responder& responder);

// When generation must end so that the answer still gets out before the platform's deadline.
std::optional<Clock::Monotonic> generation_deadline(const InvocationContext& context,
                                                    const Clock& clock);

AnswerHead answer_head(const Service& service, Shape shape, const Request& request,
                       const InvocationContext& context);

// "Function.InvalidRequest" and its like, as platforms count them.
InvocationError invocation_error(const ApiError& error);

}  // namespace thaw::handler
