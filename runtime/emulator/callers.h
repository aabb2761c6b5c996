// Who waits for an answer at the emulator's public port: a caller of the Invoke API (buffered, or
// as an event stream) or of a function URL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/emulator/fleet.h"
#include "runtime/emulator/invocation.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

// 429, with the reason that the limit which was met has.
void send_throttled(http::ResponseWriter& writer, const Completion& completion,
                    std::string_view request_id);

// The whole answer in memory, up to Lambda's 6 MB; beyond it the invocation has failed.
class BufferedCaller : public Caller {
 public:
  explicit BufferedCaller(std::string request_id) : request_id_(std::move(request_id)) {}
  void begin(const AnswerHead& head) override { head_ = head; }
  void part(std::string_view bytes) override;
  void finish(const Completion& completion) override;

  const Completion& completion() const { return completion_; }
  const AnswerHead& head() const { return head_; }
  const std::string& body() const { return body_; }

 private:
  std::string request_id_;
  AnswerHead head_;
  std::string body_;
  bool too_large_ = false;
  Completion completion_;
};

// The answer as messages of an event stream, each part as it comes.
class EventStreamCaller final : public Caller {
 public:
  EventStreamCaller(http::ResponseWriter& writer, std::string request_id, bool wants_tail)
      : writer_(writer), request_id_(std::move(request_id)), wants_tail_(wants_tail) {}
  void begin(const AnswerHead& head) override;
  void part(std::string_view bytes) override;
  void finish(const Completion& completion) override;

 private:
  void open();
  http::ResponseWriter& writer_;
  std::string request_id_;
  bool wants_tail_;
};

// The answer as HTTP, streamed as it comes where the function streams and `streams` allows it. A
// caller that went away does not stop the function, as on AWS.
class UrlCaller final : public Caller {
 public:
  UrlCaller(http::ResponseWriter& writer, std::string request_id, bool streams, LogSink log)
      : writer_(writer),
        request_id_(std::move(request_id)),
        streams_(streams),
        log_(std::move(log)) {}
  // Before begin(): what takes the place of the function's own fields for other origins.
  void set_cors(http::Fields fields) { cors_ = std::move(fields); }
  void begin(const AnswerHead& head) override;
  void part(std::string_view bytes) override;
  void finish(const Completion& completion) override;

  // Where AWS wants the end of a prelude, counted from the answer's first byte.
  static constexpr std::size_t kPreludeBytesMax = 16 << 10;

 private:
  enum class Mode : unsigned char { kWhole, kPrelude, kBody, kBroken };
  void take_prelude(bool at_end);
  void open(int status, const http::Fields& headers);
  http::Fields completed(const http::Fields& headers) const;
  void answer_whole();
  void bad_gateway(std::string_view why);

  http::ResponseWriter& writer_;
  std::string request_id_;
  bool streams_;
  LogSink log_;
  std::optional<http::Fields> cors_;
  AnswerHead head_;
  Mode mode_ = Mode::kWhole;
  std::string held_;  // a whole answer, or a prelude on its way
  bool too_large_ = false;
};

}  // namespace thaw::emulator
