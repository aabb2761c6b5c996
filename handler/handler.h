// What one invocation does: event in, task, answer out. Knows no platform's loop: runtime/ hands it
// bytes and a Responder.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "handler/event/http_message.h"
#include "handler/gate.h"
#include "handler/generator.h"
#include "handler/manifest.h"

namespace thaw::handler {

// What the platform says about an invocation.
struct InvocationContext {
  std::string_view request_id;
  std::optional<Clock::Monotonic> deadline;  // the platform ends the invocation then
  // Once true, the answer ends as it does at its deadline: the instance is being shut down. Null:
  // never.
  const std::atomic<bool>* hurry = nullptr;
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
  std::string timing = {};  // the phases so far, as server_timing() tells them; empty: not known
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
  // False once whoever asked is known to be gone: the generation then ends within a step. Asked at
  // every step, so it must be cheap.
  virtual bool alive() { return true; }
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
  GenerationPhases phases;               // as usage
  std::string timing;                    // its phases (timings.h); empty: nothing was generated
};

// The answer to a plain HTTP request.
struct HttpOutcome {
  bool streamed = false;  // the answer went to the responder; `response` is empty
  event::HttpResponse response;
  std::optional<InvocationError> error;  // a stream that broke off, as platforms count it
  Usage usage;
  GenerationPhases phases;
  std::string timing;
};

struct HandlerOptions {
  const Gate* gate = nullptr;  // null: the loop has nothing to say; always ready
  Files* files = nullptr;      // for answers that the manifest wants written; null: the machine's
};

// Answers invocations with one generator: as many at a time as the generator takes, as everything
// else here is thread-safe. What it is given outlives it.
class Handler {
 public:
  Handler(Generator& generator, const Manifest& manifest, Clock& clock,
          const HandlerOptions& options = {});
  // One event. Never fails: what goes wrong is in the Outcome.
  Outcome handle(std::string_view event, const InvocationContext& context, Responder& responder);
  // One request of a client that a loop serves itself. Never fails either.
  HttpOutcome handle_http(const event::HttpRequest& request, const InvocationContext& context,
                          Responder& responder);
  Metrics& metrics() { return metrics_; }

 private:
  Generator& generator_;
  const Manifest& manifest_;
  Clock& clock_;
  const Gate always_open_;
  const Gate& gate_;
  Files& files_;
  Metrics metrics_;
};

// What a loop answers where it cannot take a request now: 503 with Retry-After and retry-after-ms.
event::HttpResponse closed_response(const Closed& closed, std::string_view request_id);

}  // namespace thaw::handler
