// Plays AWS Lambda on this machine: the Invoke API and a function URL at one port, the Runtime API
// behind it, and real `bootstrap` processes in between, started on demand.
//
//   POST /2015-03-31/functions/NAME/invocations                    buffered; RequestResponse,
//   Event,
//                                                                  DryRun; a name, an ARN,
//                                                                  qualifiers
//   POST /2021-11-15/functions/NAME/response-streaming-invocations an event stream
//   ANY  /url/NAME/...                                             NAME's function URL
//   ANY  /...                                                      the function URL of the only one
// All else is answered with an error document of AWS's kind.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "base/state_files.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/instance.h"
#include "runtime/emulator/ledger.h"
#include "runtime/emulator/options.h"

namespace thaw::emulator {

class Fleet;

// Thread-safe.
class Emulator {
 public:
  // Listens and serves on threads of its own. `log` is told the platform's lines (START, END,
  // REPORT) and the functions' output, one line at a time. `clock` and files outlive the emulator.
  // Errors: kInvalid      a function's name, a limit, the host
  //         kNotFound     no such bootstrap, or snapshot
  //         kUnavailable  the port is taken, or the state directory in use
  //         kCorrupt, kUnsupported, kLimit  what the state directory holds
  //         kIo           the system refused
  static Result<std::unique_ptr<Emulator>> start(const Options& options, Clock& clock, LogSink log,
                                                 Files& files = system_files(),
                                                 StateFiles& state_files = system_state_files());
  // Stops as stop() does.
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  std::uint16_t port() const;
  std::string authority() const;  // "127.0.0.1:9000"
  std::size_t instance_count() const;
  const Ledger& ledger() const;
  Fleet& fleet();  // until stop()

  // Invokes a function as an event source does: waits for its end, or has it accepted
  // asynchronously. Precondition of both: there is such a function.
  struct Outcome {
    Completion completion;
    std::string body;
  };
  Outcome invoke(std::string_view function, std::string event);
  // Errors: those of AsyncQueue::accept.
  Result<Done> accept(std::string_view function, std::string event);

  // Refuses what comes, fails what is under way, ends every instance, and returns when all are
  // gone. Idempotent.
  void stop();

 private:
  struct State;
  explicit Emulator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace thaw::emulator
