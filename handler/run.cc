#include "handler/run.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace thaw::handler {
namespace {

// Encoding what is left after the last token; a loop keeps a margin of its own for sending it.
constexpr std::chrono::milliseconds kMarginMax{100};
constexpr int kMarginShare = 10;  // of the time that is left, where the time is short

// Takes text as it is generated and puts it where it belongs.
class Sink {
 public:
  Sink(const AnswerHead& head, Delivery delivery, const StreamHead& stream_head,
       Responder& responder, const Clock& clock)
      : head_(head),
        delivery_(delivery),
        stream_head_(stream_head),
        responder_(responder),
        clock_(clock),
        begin_(clock.now()),
        last_sent_(begin_) {}

  // False: stop, whoever asked is gone or the answer is too long.
  bool text(const TextPiece& piece) {
    if (piece.text.empty() && piece.tokens.empty()) return true;
    if (first_text_.count() == 0) {
      first_text_ = clock_.now() - begin_;
      if (piece.so_far != nullptr) ran_.timing = piece.so_far->timing();
    }
    if (delivery_ == Delivery::kWhole) return keep_for_later(piece);
    const std::string part = stream_text(head_, piece, text_offset_);
    text_offset_ += characters_of(piece.tokens);
    const bool fits =
        delivery_ == Delivery::kStream || ran_.body.size() + part.size() <= kAnswerBytesMax;
    return fits ? put(part) : full();
  }

  // Between steps. False: whoever asked is gone.
  bool wanted() {
    if (lost_) return false;
    if (!responder_.alive()) {
      lost_ = true;
      return false;
    }
    const std::string_view comment = stream_keep_alive(head_);
    if (delivery_ != Delivery::kStream || comment.empty()) return true;
    return clock_.now() - last_sent_ < kKeepAliveEvery || put(comment);
  }

  Ran end(Generation generation) && {
    if (full_) generation.finish_reason = FinishReason::kLength;
    ran_.finish_reason = generation.finish_reason;
    ran_.usage = generation.usage;
    ran_.phases = generation.phases;
    ran_.timing = generation.timing();
    if (delivery_ == Delivery::kWhole) {
      ran_.body = whole_answer(head_, answer_, generation);
    } else if (!lost_) {
      put(stream_end(head_, generation));
    }
    return std::move(ran_);
  }

  Ran fail(const ApiError& error) && {
    // Once text has gone out, or was laid up to go, the stream itself says how it ended.
    if (begun_ && !lost_) put(stream_error(head_, error));
    if (!begun_) ran_.body.clear();
    ran_.error = error;
    return std::move(ran_);
  }

  GenerationTimes times() const { return {first_text_, clock_.now() - begin_}; }

 private:
  bool full() {
    full_ = true;
    return false;
  }

  bool keep_for_later(const TextPiece& piece) {
    const std::size_t bytes = answer_.text.size() + answer_.reasoning.size() + piece.text.size();
    if (bytes > kAnswerBytesMax || answer_.tokens.size() + piece.tokens.size() > kScoredTokensMax) {
      return full();
    }
    (piece.reasoning ? answer_.reasoning : answer_.text) += piece.text;
    answer_.tokens.insert(answer_.tokens.end(), piece.tokens.begin(), piece.tokens.end());
    return true;
  }

  bool put(std::string_view bytes) {
    if (lost_) return false;
    if (!begun_) {
      begun_ = true;
      return begin() && put(stream_begin(head_) + std::string(bytes));
    }
    if (delivery_ == Delivery::kStream) {
      last_sent_ = clock_.now();
      return keep(responder_.write(bytes));
    }
    ran_.body += bytes;
    return true;
  }

  bool begin() {
    if (delivery_ != Delivery::kStream) return true;
    ran_.streamed = true;
    StreamHead head = stream_head_;
    head.timing = ran_.timing;
    if (head.http && !head.timing.empty()) {
      head.http->headers.emplace_back("server-timing", head.timing);
    }
    return keep(responder_.begin(head));
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
  const Clock& clock_;
  const Clock::Monotonic begin_;
  Clock::Monotonic last_sent_;
  std::chrono::nanoseconds first_text_{0};
  std::size_t text_offset_ = 0;
  AnswerText answer_;
  bool begun_ = false;
  bool lost_ = false;
  bool full_ = false;
  Ran ran_;
};

Ran end(const Service& service, Sink& sink, Result<Generation> generation) {
  if (!generation) {
    service.metrics.generation_failed(generation.error().code);
    return std::move(sink).fail(api_error(generation.error()));
  }
  service.metrics.generated(*generation, sink.times());
  return std::move(sink).end(std::move(*generation));
}

}  // namespace

Ran run(const Service& service, Request& request, const AnswerHead& head, Delivery delivery,
        const StreamHead& stream_head, Responder& responder) {
  Sink sink(head, delivery, stream_head, responder, service.clock);
  request.generation.wanted = [&] { return sink.wanted(); };
  Result<Generation> generation = service.generator.generate(
      request.generation, [&](const TextPiece& piece) { return sink.text(piece); });
  request.generation.wanted = nullptr;
  return end(service, sink, std::move(generation));
}

std::vector<Ran> run_all(const Service& service, std::span<Request* const> requests,
                         const InvocationContext& context, Responder& responder) {
  std::vector<AnswerHead> heads;
  std::vector<std::unique_ptr<Sink>> sinks;
  std::vector<Generator::Job> jobs;
  const StreamHead no_head;
  heads.reserve(requests.size());  // sinks keep references
  for (Request* request : requests) {
    heads.push_back(answer_head(service, Shape::kDirect, *request, context));
    sinks.push_back(
        std::make_unique<Sink>(heads.back(), Delivery::kWhole, no_head, responder, service.clock));
    Sink& sink = *sinks.back();
    request->generation.wanted = [&sink] { return sink.wanted(); };
    jobs.push_back(
        {&request->generation, [&sink](const TextPiece& piece) { return sink.text(piece); }});
  }
  std::vector<Result<Generation>> generations = service.generator.generate_all(jobs);
  std::vector<Ran> ran;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i]->generation.wanted = nullptr;
    ran.push_back(end(service, *sinks[i], std::move(generations[i])));
  }
  return ran;
}

void set_deadline(GenerationRequest& request, const InvocationContext& context,
                  const Clock& clock) {
  request.hurry = context.hurry;
  if (!context.deadline) return;
  const auto left = std::max(*context.deadline - clock.now(), Clock::Monotonic::duration::zero());
  request.deadline =
      *context.deadline - std::min<Clock::Monotonic::duration>(kMarginMax, left / kMarginShare);
}

AnswerHead answer_head(const Service& service, Shape shape, const Request& request,
                       const InvocationContext& context) {
  const auto since_epoch = service.clock.wall_now().time_since_epoch();
  return {shape,
          context.request_id,
          service.generator.model_name(),
          std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count(),
          request.include_usage,
          request.generation.logprobs};
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
