// The internal extension that makes Lambda send this process SIGTERM before it ends it: without any
// extension the platform kills at once, with one of this kind it leaves half a second.
#pragma once

#include <chrono>
#include <memory>

#include "base/clock.h"
#include "runtime/lambda/transport.h"

namespace thaw::lambda {

// Registers for no events on a thread of its own, then waits in /event/next as every extension
// must; nothing ever comes of that. Where there is no Extensions API, or it refuses, the thread
// ends.
class Extension {
 public:
  // Begins to register; the rest of a start goes on beside it. `clock` outlives the extension.
  static std::unique_ptr<Extension> start(const Connect& connect, Clock& clock);
  ~Extension();  // ends the wait
  Extension(const Extension&) = delete;
  Extension& operator=(const Extension&) = delete;

  // To be called before the first /next, which ends the time in which extensions may register.
  // Waits until the platform has said yes or no, and gives up after this long.
  static constexpr std::chrono::milliseconds kRegisterTimeMax{1000};
  // True: SIGTERM will come.
  bool wait_registered(std::chrono::milliseconds time_max = kRegisterTimeMax);

 private:
  struct State;
  explicit Extension(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace thaw::lambda
