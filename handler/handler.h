// What one invocation does: event in, task, answer out. Knows no platform's loop: runtime/ hands it
// bytes and a Responder.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "handler/generator.h"
#include "handler/manifest.h"

namespace thaw::handler {

// What the platform says about an invocation.
struct InvocationContext {
  std::string_view request_id;
  std::optional<Clock::Monotonic> deadline;  // the platform ends the invocation then
};

// The head of a streamed answer.
struct StreamHead {
  std::string content_type = "application/octet-stream";
  // Set for answers to HTTP events: they begin with the platform's HTTP prelude. `headers` then has
  // the content type, too.
  struct Http {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
  };
  std::optional<Http> http;
};

// Where a streamed answer goes; given by the platform's loop. One thread at a time.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual bool can_stream() const = 0;
  // Begins a stream. At most once, before write(). Errors: kIo, kCancelled.
  virtual Result<Done> begin(const StreamHead& head) = 0;
  // Errors: kIo, kCancelled: whoever asked went away.
  virtual Result<Done> write(std::string_view bytes) = 0;
};

// A failed invocation, as platforms report it.
struct InvocationError {
  std::string type;     // "Function.UnsupportedEvent": category.Reason
  std::string message;  // one line, no prompt text
};

struct Outcome {
  // Buffered: `body` is the whole answer. Streamed: it went to the Responder already.
  bool streamed = false;
  std::string body;
  std::string content_type = "application/json";
  std::optional<InvocationError> error;  // the invocation failed; mid-stream if `streamed`
  Usage usage;                           // summed over a batch
};

// Answers invocations with one generator. One invocation at a time.
class Handler {
 public:
  Handler(Generator& generator, const Manifest& manifest, Clock& clock);
  // Never fails: what goes wrong is in the Outcome.
  Outcome handle(std::string_view event, const InvocationContext& context, Responder& responder);

 private:
  Generator& generator_;
  const Manifest& manifest_;
  Clock& clock_;
};

}  // namespace thaw::handler
