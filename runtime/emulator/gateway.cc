#include "runtime/emulator/gateway.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/str.h"
#include "runtime/emulator/aws_error.h"
#include "runtime/emulator/callers.h"
#include "runtime/emulator/cors.h"
#include "runtime/emulator/gateway_events.h"
#include "runtime/lambda/protocol.h"

namespace thaw::emulator {
namespace {

constexpr std::string_view kFcInvoke = "/2023-03-30/functions/";
constexpr std::string_view kBadGatewayPage =
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
    "Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

// {"message": TEXT}, as API Gateway answers for itself.
void send_message(Call& call, int status, std::string_view text) {
  (void)call.writer.send(
      status, {{"Content-Type", "application/json"}, {"x-amzn-RequestId", call.request_id}},
      cat("{\"message\":\"", text, "\"}"));
}

void send_page(Call& call, int status, std::string_view page) {
  (void)call.writer.send(status, {{"Server", "awselb/2.0"}, {"Content-Type", "text/html"}}, page);
}

// Function Compute's own errors.
void send_fc_error(Call& call, int status, std::string_view code, std::string_view message) {
  const nlohmann::ordered_json document = {
      {"RequestId", call.request_id}, {"Code", code}, {"Message", message}};
  (void)call.writer.send(
      status, {{"Content-Type", "application/json"}, {"X-Fc-Request-Id", call.request_id}},
      document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

// Waits for the whole answer and gives it in the front's shape.
class Gateway::FrontCaller final : public Caller {
 public:
  FrontCaller(Front front, Call& call, const LogSink& log)
      : front_(front), call_(call), log_(log), buffer_(call.request_id) {}
  void begin(const AnswerHead& head) override { buffer_.begin(head); }
  void part(std::string_view bytes) override { buffer_.part(bytes); }

  void finish(const Completion& completion) override {
    buffer_.finish(completion);
    const Completion& end = buffer_.completion();
    if (end.kind == Completion::Kind::kLost) return call_.writer.abort();
    if (end.kind == Completion::Kind::kThrottled) return throttled();
    if (end.kind != Completion::Kind::kDone) return send_message(call_, 503, "Service Unavailable");
    if (end.failure) return failed(end.failure->type, &end.failure->document);
    if (buffer_.head().streamed) {
      return failed("its answer is a stream, and this front does not stream", nullptr);
    }
    auto answer = converted();
    if (!answer) return failed(answer.error().message, nullptr);
    const bool balancer = front_ == Front::kBalancer || front_ == Front::kBalancerMulti;
    if (balancer && answer->body.size() > kBalancerBytesMax) {
      return failed("LambdaResponseTooLarge", nullptr);
    }
    if (balancer) answer->head.headers.add("Server", "awselb/2.0");
    if (front_ == Front::kFc) {
      answer->head.headers.add("X-Fc-Request-Id", call_.request_id);
    } else if (!balancer) {
      answer->head.headers.add("x-amzn-RequestId", call_.request_id);
    }
    const auto sent = call_.writer.send(answer->head.status, answer->head.headers, answer->body);
    if (!sent && sent.error().code == Code::kInvalid) failed(sent.error().message, nullptr);
  }

 private:
  Result<UrlAnswer> converted() const {
    switch (front_) {
      case Front::kRestApi: return rest_answer(buffer_.body());
      case Front::kBalancer: return balancer_answer(buffer_.body(), false);
      case Front::kBalancerMulti: return balancer_answer(buffer_.body(), true);
      case Front::kFc: return fc_answer(buffer_.body());
      case Front::kHttpApi:
      case Front::kUrl: break;
    }
    return url_answer(buffer_.body());
  }

  void throttled() {
    switch (front_) {
      case Front::kRestApi: return send_message(call_, 500, "Internal server error");
      case Front::kBalancer:
      case Front::kBalancerMulti: return send_page(call_, 502, kBadGatewayPage);
      case Front::kFc:
        return send_fc_error(call_, 429, "ResourceExhausted", "the function's concurrency is used");
      case Front::kHttpApi:
      case Front::kUrl: break;
    }
    send_message(call_, 503, "Service Unavailable");
  }

  void failed(std::string_view why, const std::string* document) {
    log_(cat("request ", call_.request_id, ": ", why, "; the caller hears of an error"));
    switch (front_) {
      case Front::kRestApi: return send_message(call_, 502, "Internal server error");
      case Front::kBalancer:
      case Front::kBalancerMulti: return send_page(call_, 502, kBadGatewayPage);
      case Front::kFc:
        return (void)call_.writer.send(502,
                                       {{"Content-Type", "application/json"},
                                        {"X-Fc-Request-Id", call_.request_id},
                                        {"X-Fc-Error-Type", "UnhandledInvocationError"}},
                                       document == nullptr ? "" : *document);
      case Front::kHttpApi:
      case Front::kUrl: break;
    }
    send_message(call_, 500, "Internal Server Error");
  }

  const Front front_;
  Call& call_;
  const LogSink& log_;
  BufferedCaller buffer_;
};

Gateway::Gateway(Fleet& fleet, AsyncQueue& queue, const Options& options, Clock& clock, Ids& ids,
                 LogSink log)
    : fleet_(fleet),
      queue_(queue),
      options_(options),
      clock_(clock),
      ids_(ids),
      log_(std::move(log)) {
  for (const Api& api : options.apis) apis_.emplace(std::pair(api.kind, api.name), api);
  for (const auto& [name, function] : fleet.functions()) {
    const bool routed =
        std::any_of(options.apis.begin(), options.apis.end(), [&, &own = name](const Api& api) {
          return std::any_of(api.routes.begin(), api.routes.end(),
                             [&](const Route& route) { return route.function == own; });
        });
    if (routed) continue;
    apis_.emplace(std::pair(Api::Kind::kHttp, name),
                  Api{Api::Kind::kHttp, name, "$default", {{"ANY", "$default", name}}});
    apis_.emplace(
        std::pair(Api::Kind::kRest, name),
        Api{Api::Kind::kRest, name, "Prod", {{"ANY", "/", name}, {"ANY", "/{proxy+}", name}}});
  }
}

std::optional<Gateway::Address> Gateway::address_of(const http::Request& request) {
  struct Place {
    Front front;
    std::string_view prefix, domain;
  };
  constexpr Place kPlaces[] = {
      {Front::kUrl, "/url/", ".lambda-url.localhost"},
      {Front::kHttpApi, "/http/", ".http-api.localhost"},
      {Front::kRestApi, "/rest/", ".rest-api.localhost"},
      {Front::kBalancer, "/alb/", ".alb.localhost"},
      {Front::kBalancerMulti, "/alb-multi/", ".alb-multi.localhost"},
      {Front::kFc, "/fc/", ".fc.localhost"},
  };
  std::string_view host = request.headers().get("Host").value_or("");
  host = host.substr(0, host.rfind(':'));
  const std::string_view path = request.path();
  for (const Place& place : kPlaces) {
    if (host.ends_with(place.domain) && host.size() > place.domain.size()) {
      host.remove_suffix(place.domain.size());
      return Address{place.front, std::string(host), path};
    }
  }
  for (const Place& place : kPlaces) {
    if (!path.starts_with(place.prefix)) continue;
    const std::string_view rest = path.substr(place.prefix.size());
    const std::size_t slash = rest.find('/');
    return Address{place.front, percent_decode(rest.substr(0, slash), false),
                   slash == rest.npos ? "/" : rest.substr(slash)};
  }
  return std::nullopt;
}

const Api* Gateway::find_api(Api::Kind kind, std::string_view name) const {
  const auto at = apis_.find(std::pair(kind, std::string(name)));
  return at == apis_.end() ? nullptr : &at->second;
}

bool Gateway::serve(Call& call) {
  if (const auto name = between(call.request.path(), kFcInvoke, "/invocations")) {
    if (call.request.method() != "POST") return false;
    serve_fc_invoke(call, *name);
    return true;
  }
  const auto address = address_of(call.request);
  if (!address) return false;
  if (address->front == Front::kHttpApi || address->front == Front::kRestApi) {
    const bool rest = address->front == Front::kRestApi;
    const Api* api = find_api(rest ? Api::Kind::kRest : Api::Kind::kHttp, address->name);
    if (api == nullptr) return false;
    serve_api(call, address->front, *api, address->path);
    return true;
  }
  const FunctionOptions* function = fleet_.find(address->name);
  if (function == nullptr) return false;
  if (address->front == Front::kUrl) {
    serve_url(call, *function, address->path);
    return true;
  }
  const auto body =
      read_body(call, address->front,
                address->front == Front::kFc ? lambda::kPayloadBytesMax : kBalancerBytesMax);
  if (!body) return true;
  const auto invocation = make_invocation(call, *function);
  serve_event(call, address->front, *function,
              request_of(call, *function, *invocation, address->path, *body), "");
  return true;
}

void Gateway::serve_api(Call& call, Front front, const Api& api, std::string_view path) {
  const bool rest = front == Front::kRestApi;
  std::string_view inner = path;
  if (api.stage != "$default") {
    const std::string stage = "/" + api.stage;
    const bool fits =
        path.starts_with(stage) && (path.size() == stage.size() || path[stage.size()] == '/');
    if (!fits) {
      return rest ? send_message(call, 403, "Forbidden") : send_message(call, 404, "Not Found");
    }
    inner.remove_prefix(stage.size());
    if (inner.empty()) inner = "/";
  }
  auto matched = match(api, call.request.method(), inner);
  const FunctionOptions* function = matched ? fleet_.find(matched->route->function) : nullptr;
  if (function == nullptr) {
    return rest ? send_message(call, 403, "Missing Authentication Token")
                : send_message(call, 404, "Not Found");
  }
  const auto body = read_body(call, front, lambda::kPayloadBytesMax);
  if (!body) return;
  const auto invocation = make_invocation(call, *function);
  // In payload 2.0 the raw path has the stage, in 1.0 it has not.
  UrlRequest request = request_of(call, *function, *invocation, rest ? inner : path, *body);
  const Route& route = *matched->route;
  const std::string key =
      route.path == "$default" ? route.path : cat(route.method, " ", route.path);
  request.api = api.name;
  request.stage = api.stage;
  request.route_key = key;
  request.path_parameters = std::move(matched->path_parameters);
  serve_event(call, front, *function, request, route.path);
}

UrlRequest Gateway::request_of(const Call& call, const FunctionOptions& function,
                               const Invocation& invocation, std::string_view path,
                               std::string_view body) const {
  return {call.request.method(),
          path,
          call.request.query(),
          call.request.headers(),
          body,
          call.request.peer(),
          call.request_id,
          invocation.trace_id,
          options_.region,
          function.name,
          clock_.wall_now()};
}

void Gateway::serve_event(Call& call, Front front, const FunctionOptions& function,
                          const UrlRequest& request, std::string_view resource) {
  auto invocation = make_invocation(call, function);
  switch (front) {
    case Front::kRestApi: invocation->event = rest_event(request, resource); break;
    case Front::kBalancer: invocation->event = balancer_event(request, false); break;
    case Front::kBalancerMulti: invocation->event = balancer_event(request, true); break;
    case Front::kFc: invocation->event = fc_event(request); break;
    case Front::kHttpApi:
    case Front::kUrl: invocation->event = url_event(request); break;
  }
  // Base64 makes a body larger, and it is the event that the function gets.
  if (invocation->event.size() > lambda::kPayloadBytesMax) {
    return send_message(call, 413, "Request Entity Too Large");
  }
  FrontCaller caller(front, call, log_);
  fleet_.invoke(function.name, invocation, caller);
}

// The body; nothing where there is none, and the caller has heard why.
std::optional<std::string> Gateway::read_body(Call& call, Front front, std::size_t bytes_max) {
  call.request.set_body_limits(bytes_max, std::chrono::seconds(30));
  Result<std::string> body = call.request.read_all();
  if (body) return std::move(*body);
  const bool large = body.error().code == Code::kLimit;
  if (front == Front::kFc) {
    send_fc_error(call, large ? 413 : 400, large ? "PayloadTooLarge" : "InvalidArgument",
                  body.error().message);
  } else {
    send_message(call, large ? 413 : 400, large ? "Request Entity Too Large" : "Bad Request");
  }
  return std::nullopt;
}

void Gateway::serve_url(Call& call, const FunctionOptions& function, std::string_view path) {
  const http::Fields& headers = call.request.headers();
  if (function.cors && is_preflight(call.request.method(), headers)) {
    http::Fields fields = cors_fields(*function.cors, headers, true);
    fields.add("x-amzn-RequestId", call.request_id);
    return (void)call.writer.send(200, fields, "");
  }
  call.request.set_body_limits(lambda::kPayloadBytesMax, std::chrono::seconds(30));
  const Result<std::string> body = call.request.read_all();
  const std::string too_large = cat("Request must be smaller than ", lambda::kPayloadBytesMax,
                                    " bytes for the InvokeFunction operation");
  if (!body) {
    const bool large = body.error().code == Code::kLimit;
    return send_error(call.writer, large ? kTooLarge : kBadContent, call.request_id,
                      large ? too_large : body.error().message);
  }
  auto invocation = make_invocation(call, function);
  invocation->event = url_event(request_of(call, function, *invocation, path, *body));
  if (invocation->event.size() > lambda::kPayloadBytesMax) {
    return send_error(call.writer, kTooLarge, call.request_id, too_large);
  }
  UrlCaller caller(call.writer, call.request_id, function.url_streams, log_);
  if (function.cors) caller.set_cors(cors_fields(*function.cors, headers, false));
  fleet_.invoke(function.name, invocation, caller);
}

void Gateway::serve_fc_invoke(Call& call, std::string_view encoded_name) {
  const http::Fields& headers = call.request.headers();
  const std::string name = percent_decode(encoded_name, false);
  const FunctionOptions* function = fleet_.find(name);
  if (function == nullptr) {
    return send_fc_error(call, 404, "FunctionNotFound",
                         cat("function '", name.substr(0, 64), "' does not exist"));
  }
  const std::string type = lower_case(headers.get("X-Fc-Invocation-Type").value_or("Sync"));
  if (type != "sync" && type != "async") {
    return send_fc_error(call, 400, "InvalidArgument", "X-Fc-Invocation-Type: want Sync or Async");
  }
  const bool later = type == "async";
  call.request.set_body_limits(later ? kFcAsyncBytesMax : lambda::kPayloadBytesMax,
                               std::chrono::seconds(30));
  Result<std::string> body = call.request.read_all();
  if (!body) {
    const bool large = body.error().code == Code::kLimit;
    return send_fc_error(call, large && !later ? 413 : 400,
                         large && !later ? "PayloadTooLarge" : "InvalidArgument",
                         body.error().message);
  }
  auto invocation = make_invocation(call, *function);
  invocation->event = body->empty() ? "{}" : std::move(*body);
  const http::Fields own{{"X-Fc-Request-Id", call.request_id}};
  if (later) {
    const auto accepted = queue_.accept(event_of(*invocation, *function, ""));
    if (accepted) return (void)call.writer.send(202, own, "");
    if (accepted.error().code != Code::kUnavailable) log_(accepted.error().message);
    const bool full = accepted.error().code == Code::kLimit;
    return send_fc_error(call, full ? 429 : 503, full ? "ResourceExhausted" : "ServiceUnavailable",
                         "the event could not be kept; nothing was accepted");
  }
  class Sender final : public Caller {
   public:
    explicit Sender(Call& call) : call_(call), buffer_(call.request_id) {}
    void begin(const AnswerHead& head) override { buffer_.begin(head); }
    void part(std::string_view bytes) override { buffer_.part(bytes); }
    void finish(const Completion& completion) override {
      buffer_.finish(completion);
      const Completion& end = buffer_.completion();
      if (end.kind == Completion::Kind::kLost) return call_.writer.abort();
      if (end.kind == Completion::Kind::kThrottled) {
        return send_fc_error(call_, 429, "ResourceExhausted", "the function's concurrency is used");
      }
      if (end.kind != Completion::Kind::kDone) {
        return send_fc_error(call_, 503, "ServiceUnavailable", end.message);
      }
      http::Fields fields{{"X-Fc-Request-Id", call_.request_id},
                          {"Content-Type", "application/octet-stream"}};
      if (end.failure) fields.add("X-Fc-Error-Type", "UnhandledInvocationError");
      if (call_.request.headers().get("X-Fc-Log-Type") == "Tail") {
        fields.add("X-Fc-Log-Result", lambda::base64_encode(end.log_tail));
      }
      (void)call_.writer.send(200, fields, end.failure ? end.failure->document : buffer_.body());
    }

   private:
    Call& call_;
    BufferedCaller buffer_;
  };
  Sender sender(call);
  fleet_.invoke(function->name, invocation, sender);
}

std::shared_ptr<Invocation> Gateway::make_invocation(const Call& call,
                                                     const FunctionOptions& function) {
  return emulator::make_invocation(call, options_, function, ids_, clock_);
}

}  // namespace thaw::emulator
