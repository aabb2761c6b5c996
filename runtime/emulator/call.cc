#include "runtime/emulator/call.h"

#include "runtime/emulator/environment.h"

namespace thaw::emulator {

std::shared_ptr<Invocation> make_invocation(const Call& call, const Options& options,
                                            const FunctionOptions& function, Ids& ids,
                                            Clock& clock) {
  auto invocation = std::make_shared<Invocation>();
  invocation->request_id = call.request_id;
  invocation->invocation_id = ids.request_id();
  invocation->function_arn = function_arn(options, function.name);
  const auto trace = call.request.headers().get("X-Amzn-Trace-Id");
  invocation->trace_id =
      trace && !trace->empty() ? std::string(*trace) : ids.trace_id(clock.wall_now());
  return invocation;
}

AcceptedEvent event_of(const Invocation& invocation, const FunctionOptions& function,
                       std::string_view qualifier) {
  AcceptedEvent event;
  event.function = function.name;
  event.qualifier = qualifier;
  event.request_id = invocation.request_id;
  event.trace_id = invocation.trace_id;
  event.client_context = invocation.client_context;
  event.event = invocation.event;
  return event;
}

}  // namespace thaw::emulator
