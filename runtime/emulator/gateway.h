// The HTTP fronts of functions beside Lambda's API: function URLs, API Gateway's HTTP and REST
// APIs, load balancers, Function Compute's trigger and its invoke API. By path or by host:
//   /url/FUNCTION/...             FUNCTION.lambda-url.localhost
//   /http/API[/STAGE]/...         API.http-api.localhost
//   /rest/API/STAGE/...           API.rest-api.localhost/STAGE/...
//   /alb/FUNCTION/...             FUNCTION.alb.localhost         single values
//   /alb-multi/FUNCTION/...       FUNCTION.alb-multi.localhost   multi-value headers
//   /fc/FUNCTION/...              FUNCTION.fc.localhost
//   POST /2023-03-30/functions/FUNCTION/invocations
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "runtime/emulator/async_queue.h"
#include "runtime/emulator/call.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/function_url.h"
#include "runtime/emulator/routes.h"

namespace thaw::emulator {

// Thread-safe.
class Gateway {
 public:
  static constexpr std::size_t kBalancerBytesMax = 1u << 20;   // AWS's, of bodies each way
  static constexpr std::size_t kFcAsyncBytesMax = 128u << 10;  // Function Compute's

  // All outlive it. Functions that no API of `options` routes to have one of each kind, of their
  // own name: $default of an HTTP API, stage Prod of a REST API.
  Gateway(Fleet& fleet, AsyncQueue& queue, const Options& options, Clock& clock, Ids& ids,
          LogSink log);

  // False: neither path nor host is one of a front, and nothing was answered.
  bool serve(Call& call);
  // A request to the function's URL, whose path there is `path`.
  void serve_url(Call& call, const FunctionOptions& function, std::string_view path);

 private:
  enum class Front : unsigned char {
    kUrl,
    kHttpApi,
    kRestApi,
    kBalancer,
    kBalancerMulti,
    kFc,
  };
  struct Address {
    Front front;
    std::string name;       // of a function or an API
    std::string_view path;  // there
  };
  class FrontCaller;

  static std::optional<Address> address_of(const http::Request& request);
  const Api* find_api(Api::Kind kind, std::string_view name) const;
  void serve_api(Call& call, Front front, const Api& api, std::string_view path);
  void serve_event(Call& call, Front front, const FunctionOptions& function,
                   const UrlRequest& request, std::string_view resource);
  void serve_fc_invoke(Call& call, std::string_view encoded_name);
  std::shared_ptr<Invocation> make_invocation(const Call& call, const FunctionOptions& function);
  UrlRequest request_of(const Call& call, const FunctionOptions& function,
                        const Invocation& invocation, std::string_view path,
                        std::string_view body) const;
  std::optional<std::string> read_body(Call& call, Front front, std::size_t bytes_max);

  Fleet& fleet_;
  AsyncQueue& queue_;
  const Options& options_;
  Clock& clock_;
  Ids& ids_;
  LogSink log_;
  std::map<std::pair<Api::Kind, std::string>, Api> apis_;
};

}  // namespace thaw::emulator
