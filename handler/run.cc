#include "handler/run.h"

#include <algorithm>

namespace thaw::handler {
namespace {

// Encoding and sending what is left after the last token.
constexpr std::chrono::milliseconds kMarginMax{500};
constexpr int kMarginShare = 10;  // of the time that is left, where the time is short

// Takes text as it is generated and puts it where it belongs.
class Sink {
 public:
  Sink(const AnswerHead& head, Delivery delivery, const StreamHead& stream_head,
       Responder& responder)
      : head_(head), delivery_(delivery), stream_head_(stream_head), responder_(responder) {}

  // False: stop, whoever asked is gone or the answer is too long.
  bool text(std::string_view piece) {
    if (piece.empty()) return true;
    if (delivery_ != Delivery::kWhole) {
      const std::string part = stream_text(head_, piece);
      const bool fits =
          delivery_ == Delivery::kStream || ran_.body.size() + part.size() <= kAnswerBytesMax;
      return fits ? put(part) : full();
    }
    if (ran_.body.size() + piece.size() > kAnswerBytesMax) return full();
    ran_.body += piece;
    return true;
  }

  Ran end(Generation generation) && {
    if (full_) generation.finish_reason = FinishReason::kLength;
    ran_.finish_reason = generation.finish_reason;
    ran_.usage = generation.usage;
    if (delivery_ == Delivery::kWhole) {
      ran_.body = whole_answer(head_, ran_.body, generation);
    } else if (!lost_) {
      put(stream_end(head_, generation));
    }
    return std::move(ran_);
  }

  Ran fail(const ApiError& error) && {
    // Once text has gone out, or was laid up to go, the stream itself says how it ended.
    if (begun_ && !lost_) put(stream_error(head_, error));
    if (delivery_ == Delivery::kWhole || !begun_) ran_.body.clear();
    ran_.error = error;
    return std::move(ran_);
  }

 private:
  bool full() {
    full_ = true;
    return false;
  }

  bool put(std::string_view bytes) {
    if (lost_) return false;
    if (!begun_) {
      begun_ = true;
      return begin() && put(with_begin(bytes));
    }
    if (delivery_ == Delivery::kStream) return keep(responder_.write(bytes));
    ran_.body += bytes;
    return true;
  }

  std::string with_begin(std::string_view bytes) const {
    std::string first = stream_begin(head_);
    return first += bytes;
  }

  bool begin() {
    if (delivery_ != Delivery::kStream) return true;
    ran_.streamed = true;
    return keep(responder_.begin(stream_head_));
  }

  bool keep(const Result<Done>& written) {
    if (written) return true;
    lost_ = true;
    // Going away is the caller's right; anything else that stops an answer is a failure.
    if (written.error().code != Code::kCancelled) ran_.error = api_error(written.error());
    return false;
  }

  const AnswerHead& head_;
  const Delivery delivery_;
  const StreamHead& stream_head_;
  Responder& responder_;
  bool begun_ = false;
  bool lost_ = false;
  bool full_ = false;
  Ran ran_;
};

}  // namespace

Ran run(const Service& service, const Request& request, const AnswerHead& head, Delivery delivery,
        const StreamHead& stream_head, Responder& responder) {
  Sink sink(head, delivery, stream_head, responder);
  Result<Generation> generation = service.generator.generate(
      request.generation, [&](std::string_view text) { return sink.text(text); });
  if (!generation) return std::move(sink).fail(api_error(generation.error()));
  return std::move(sink).end(std::move(*generation));
}

std::optional<Clock::Monotonic> generation_deadline(const InvocationContext& context,
                                                    const Clock& clock) {
  if (!context.deadline) return std::nullopt;
  const auto left = std::max(*context.deadline - clock.now(), Clock::Monotonic::duration::zero());
  return *context.deadline - std::min<Clock::Monotonic::duration>(kMarginMax, left / kMarginShare);
}

AnswerHead answer_head(const Service& service, Shape shape, const Request& request,
                       const InvocationContext& context) {
  const auto since_epoch = service.clock.wall_now().time_since_epoch();
  return {shape, context.request_id, service.generator.model_name(),
          std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count(),
          request.include_usage};
}

InvocationError invocation_error(const ApiError& error) {
  switch (error.status) {
    case 500: return {"Function.GenerationFailed", error.message};
    case 503: return {"Function.Unavailable", error.message};
    case 504: return {"Function.DeadlineExceeded", error.message};
    default: return {"Function.InvalidRequest", error.message};
  }
}

}  // namespace thaw::handler
