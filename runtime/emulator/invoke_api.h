// The Invoke API: what its requests ask for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "runtime/emulator/async_queue.h"
#include "runtime/emulator/call.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/text.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

// Thread-safe.
class InvokeApi {
 public:
  static constexpr std::size_t kAsyncBytesMax = 1u << 20;  // AWS's limit for them

  // All outlive it.
  InvokeApi(Fleet& fleet, AsyncQueue& queue, const Options& options, Clock& clock, Ids& ids,
            LogSink log);

  // False: no operation of this API, and nothing was answered.
  bool serve(Call& call);

 private:
  void invoke(Call& call, std::string_view name, bool streaming);
  void invoke_buffered(Call& call, const FunctionOptions& function,
                       const std::shared_ptr<Invocation>& invocation);
  void invoke_later(Call& call, const FunctionOptions& function, const Invocation& invocation,
                    std::string_view qualifier);
  std::optional<std::string> read_event(Call& call, std::string_view type, std::size_t bytes_max);

  Fleet& fleet_;
  AsyncQueue& queue_;
  const Options& options_;
  Clock& clock_;
  Ids& ids_;
  LogSink log_;
};

}  // namespace thaw::emulator
