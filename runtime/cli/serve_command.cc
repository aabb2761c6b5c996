#include "base/str.h"
#include "handler/function.h"
#include "runtime/cli/commands.h"
#include "runtime/web/plain.h"
#include "runtime/web/run.h"

namespace thaw::cli {
namespace {

// Where a client on this machine finds it.
std::string url_of(const web::Service& service, const std::string& host) {
  const bool is_everywhere = host == "0.0.0.0" || host == "::";
  return is_everywhere ? cat("http://127.0.0.1:", service.port())
                       : cat("http://", service.authority());
}

}  // namespace

Result<Done> serve(const ServeArguments& arguments, const Context& context) {
  const handler::FunctionOptions options = function_options(context, arguments.threads);
  web::RunOptions run;
  run.service.server =
      web::server_options(arguments.host, static_cast<std::uint16_t>(arguments.port));
  run.shared.active_max = arguments.concurrency;
  web::RunParts parts;
  parts.open = [&] { return handler::Function::open(context.files, arguments.path, options); };
  parts.answer = [&](handler::Handler& handler, const handler::Function& function, web::Service&) {
    return web::plain_answer(handler, function.manifest(), context.clock, {});
  };
  parts.ready = [&](const web::Service& service, const handler::Function& function) {
    warn_of_prefixes(function, context);
    const std::string url = url_of(service, arguments.host);
    std::fprintf(context.err,
                 "%s on %s (Ctrl-C ends it), try: curl -N %s/v1/chat/completions --json "
                 "'{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                 "\"Hello\"}]}'\n",
                 function.manifest().name.c_str(), url.c_str(), url.c_str());
    std::fflush(context.err);
  };
  return web::run(run, parts);
}

}  // namespace thaw::cli
