// The platform's side of the Extensions API (2020-01-01) for one instance: who registered, who is
// told of what, and who is done with it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/platform_events.h"
#include "runtime/emulator/text.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

struct ExtensionsOptions {
  std::string function;
  std::string handler;
  std::vector<std::string> external;  // names of the executables that are started; at most kMax
  std::uint64_t seed = 0;             // of the identifiers
  bool invocations = true;  // false: none may register for INVOKE, as where several share a process
};

// Thread-safe.
class Extensions {
 public:
  static constexpr std::size_t kMax = 10;  // AWS's, internal ones included

  // `tell` hears what the platform says of them; called without a lock held. `changed` is called
  // when registered(), ready() or failure() may have changed.
  Extensions(ExtensionsOptions options, std::function<void(const PlatformEvent&)> tell,
             std::function<void()> changed);

  // Answers a request of this API. False: it is none.
  bool serve(http::Request& request, http::ResponseWriter& writer);

  // From the runtime's first /next on nobody registers any more.
  void close_registration();
  bool registered() const;    // all external ones have
  bool ready() const;         // and everybody waits in /event/next
  bool any() const;           // somebody registered
  bool any_external() const;  // has registered
  // What an extension said in init/error or exit/error. The first.
  std::optional<Failure> failure() const;
  // The name behind an identifier; empty: nobody's.
  std::string name_of(std::string_view identifier) const;

  // Tells those that asked for INVOKE.
  void invoke(const Invocation& invocation);
  // Waits until everybody is back in /event/next; false when `until` passed or after abandon().
  bool wait_done(Clock::Monotonic until);
  // Tells those that asked for SHUTDOWN. `reason`: spindown, timeout, failure.
  void shut_down(std::string_view reason, Clock::Wall deadline);
  // The runtime is gone: nobody need wait for extensions.
  void abandon();
  // Answers nobody any more.
  void end();

 private:
  enum class State : unsigned char { kRegistered, kWaiting, kBusy, kFailed };
  struct Extension {
    std::string name;
    bool external = false;
    bool invoke = false, shutdown = false;
    State state = State::kRegistered;
    std::optional<std::string> event;  // to be handed out
  };

  void enter(http::Request& request, http::ResponseWriter& writer);
  void next(http::Request& request, http::ResponseWriter& writer);
  void fail(http::Request& request, http::ResponseWriter& writer, bool at_init);
  bool ready_locked() const;

  const ExtensionsOptions options_;
  const std::function<void(const PlatformEvent&)> tell_;
  const std::function<void()> changed_hook_;
  Ids ids_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<std::string, Extension, std::less<>> extensions_;  // by identifier
  bool closed_ = false, abandoned_ = false, ended_ = false;
  std::optional<Failure> failure_;
};

// Names of the executables in `folder`, in order. Errors: kNotFound, kLimit (more than ten).
Result<std::vector<std::string>> executables_in(const std::string& folder);

}  // namespace thaw::emulator
