// One request at the public port, on its way through whoever may answer it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "runtime/emulator/event_log.h"
#include "runtime/emulator/invocation.h"
#include "runtime/emulator/options.h"
#include "runtime/emulator/text.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

struct Call {
  http::Request& request;
  http::ResponseWriter& writer;
  std::string request_id;
};

// An invocation of the function that the call asks for, still without its event.
std::shared_ptr<Invocation> make_invocation(const Call& call, const Options& options,
                                            const FunctionOptions& function, Ids& ids,
                                            Clock& clock);

// What of an invocation is kept when it is to run later.
AcceptedEvent event_of(const Invocation& invocation, const FunctionOptions& function,
                       std::string_view qualifier);

}  // namespace thaw::emulator
