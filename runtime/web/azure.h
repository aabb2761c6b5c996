// Azure Functions' custom handlers where requests are not forwarded: an invocation comes as
// {"Data": {binding: value}, "Metadata": {...}} to POST /NAME_OF_THE_FUNCTION, and is answered by
// {"Outputs": {...}, "Logs": [...], "ReturnValue": ...}.
#pragma once

#include "handler/event/http_message.h"
#include "handler/handler.h"

namespace thaw::web {

bool is_azure_invocation(const event::HttpRequest& request);

// An HTTP trigger's request (a binding with a Url and a Method) is answered in Outputs.res, its
// client's mistakes included. Another trigger's value, a direct event or a prompt, perhaps as JSON
// in a string, is answered in ReturnValue; one that fails is a 500, so that the host tries again or
// puts the message aside.
event::HttpResponse answer_azure(handler::Handler& handler, const event::HttpRequest& request,
                                 const handler::InvocationContext& context);

// The path as it came, and first of all without the host's usual prefix, "/api".
void add_azure_path(event::HttpRequest& request, std::string_view path);

}  // namespace thaw::web
