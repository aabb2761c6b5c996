#include "runtime/fc/contract.h"

#include <charconv>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/str.h"
#include "handler/event/json_writer.h"
#include "runtime/web/exchange.h"
#include "runtime/web/request_id.h"

namespace thaw::fc {
namespace {

using event::HttpResponse;

constexpr std::string_view kControlPath = "x-fc-control-path";
constexpr std::string_view kRequestId = "x-fc-request-id";
constexpr std::string_view kTimeout = "x-fc-function-timeout";
constexpr std::string_view kStatus = "x-fc-status";
constexpr std::string_view kFine = "200";
constexpr std::string_view kAtFault = "404";
constexpr double kSecondsMax = 86'400;  // FC's longest invocation

struct Path {
  std::string_view path;
  Call call;
  std::string_view method;
  std::string_view name;  // in log lines
};
constexpr Path kPaths[] = {{"/invoke", Call::kInvoke, "POST", "Invoke"},
                           {"/http-invoke", Call::kHttpInvoke, "", "Invoke"},
                           {"/initialize", Call::kInitialize, "POST", "Initialize"},
                           {"/pre-freeze", Call::kPreFreeze, "GET", "PreFreeze"},
                           {"/pre-stop", Call::kPreStop, "GET", "PreStop"}};

std::string_view name_of(Call call) {
  for (const Path& path : kPaths) {
    if (path.call == call) return path.name;
  }
  return "Invoke";
}

// "FC Invoke Start RequestId: ...", and its end before the answer is whole: an instance may be
// frozen right after that.
class Logged {
 public:
  Logged(const Lines& lines, Call call, std::string_view id)
      : lines_(lines), name_(name_of(call)), id_(id) {
    lines_(cat("FC ", name_, " Start RequestId: ", id_));
  }
  ~Logged() { end(true); }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  // The first call counts.
  void end(bool is_fine) {
    if (std::exchange(ended_, true)) return;
    lines_(cat("FC ", name_, " End RequestId: ", id_,
               is_fine ? "" : ", Error: Unhandled function error"));
  }

 private:
  const Lines& lines_;
  const std::string_view name_;
  const std::string_view id_;
  bool ended_ = false;
};

std::optional<Clock::Monotonic> deadline_of(const http::Request& request, Clock& clock) {
  const std::string_view text = request.headers().get(kTimeout).value_or("");
  double seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  if (!is_number || !(seconds > 0 && seconds <= kSecondsMax)) return std::nullopt;
  return clock.now() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

HttpResponse failure_response(const handler::InvocationError& error) {
  std::string body;
  json::Writer(body)
      .begin_object()
      .field("errorMessage", error.message)
      .field("errorType", error.type)
      .end_object();
  return {404,
          {{"content-type", "application/json"}, {std::string(kStatus), std::string(kAtFault)}},
          std::move(body)};
}

HttpResponse done() {
  return {200, {{"content-type", "text/plain"}, {std::string(kStatus), std::string(kFine)}}, ""};
}

// Streams begin with FC's word for success, as nothing can be taken back after it.
class FcResponder final : public handler::Responder {
 public:
  explicit FcResponder(http::ResponseWriter& writer) : inner_(writer) {}
  bool can_stream() const override { return true; }
  Result<Done> begin(const handler::StreamHead& head) override {
    handler::StreamHead with = head;
    if (!with.http) {
      with.http.emplace();
      with.http->headers.emplace_back("content-type", head.content_type);
    }
    with.http->headers.emplace_back(kStatus, kFine);
    return inner_.begin(with);
  }
  Result<Done> write(std::string_view bytes) override { return inner_.write(bytes); }
  bool alive() override { return inner_.alive(); }
  const web::HttpResponder& inner() const { return inner_; }

 private:
  web::HttpResponder inner_;
};

// One function, and the calls that it gets.
class Contract {
 public:
  Contract(handler::Handler& handler, const handler::Manifest& manifest, web::Service& service,
           Clock& clock, Lines lines)
      : handler_(handler),
        manifest_(manifest),
        service_(service),
        clock_(clock),
        lines_(std::move(lines)) {}

  void answer(http::Request& request, http::ResponseWriter& writer) const {
    const std::string id = web::request_id_of(request.headers(), {kRequestId, "x-request-id"});
    const Call call = call_of(request);
    // Health checks come without an id, and every second.
    if (call == Call::kHttpInvoke && !request.headers().has(kRequestId)) {
      return http_invoke(request, writer, {id, std::nullopt}, nullptr);
    }
    Logged logged(lines_, call, id);
    const handler::InvocationContext context{id, deadline_of(request, clock_)};
    switch (call) {
      case Call::kInvoke: return invoke(request, writer, context, logged);
      case Call::kHttpInvoke: return http_invoke(request, writer, context, &logged);
      case Call::kPreStop:
        if (!service_.finish(/*besides=*/1)) log_warn("pre-stop: some answers are not finished");
        break;
      case Call::kInitialize:
      case Call::kPreFreeze: break;
    }
    logged.end(true);
    web::send(writer, done());
  }

 private:
  void invoke(http::Request& request, http::ResponseWriter& writer,
              const handler::InvocationContext& context, Logged& logged) const {
    if (const auto closed = service_.closed()) {
      logged.end(true);
      return web::send(writer, handler::closed_response(*closed, context.request_id));
    }
    // The handler itself says what is too large, and in which form.
    request.limit_body(2 * std::size_t{manifest_.event_bytes_max} + (1u << 20));
    Result<std::string> event = request.read_all();
    if (!event) {
      logged.end(false);
      const bool is_large = event.error().code == Code::kLimit;
      const char* type = is_large ? "Function.RequestTooLarge" : "Function.InvalidRequest";
      return web::send(writer, failure_response({type, event.error().message}));
    }
    FcResponder responder(writer);
    const handler::Outcome outcome = handler_.handle(*event, context, responder);
    tell(context.request_id, outcome.timing, outcome.error);
    logged.end(!outcome.error);
    if (end_stream(responder.inner(), writer)) return;
    if (outcome.error) return web::send(writer, failure_response(*outcome.error));
    web::send(writer,
              {200,
               {{"content-type", outcome.content_type}, {std::string(kStatus), std::string(kFine)}},
               outcome.body});
  }

  // `logged`: null where no lines are wanted.
  void http_invoke(http::Request& request, http::ResponseWriter& writer,
                   const handler::InvocationContext& context, Logged* logged) const {
    Result<event::HttpRequest> read = web::read_request(request, manifest_.event_bytes_max);
    if (!read) {
      if (logged != nullptr) logged->end(true);
      return web::send(writer, web::unreadable_response(read.error(), context.request_id));
    }
    FcResponder responder(writer);
    handler::HttpOutcome outcome = handler_.handle_http(*read, context, responder);
    tell(context.request_id, outcome.timing, outcome.error);
    const int status = outcome.response.status;
    const bool is_fine = !outcome.error && (status < 500 || status == 503);
    if (logged != nullptr) logged->end(is_fine);
    if (end_stream(responder.inner(), writer)) return;
    outcome.response.headers.emplace_back(kStatus, is_fine ? kFine : kAtFault);
    web::send(writer, outcome.response);
  }

  // Whether there was one, or nobody to answer. A failure in its middle has been told in the stream
  // itself.
  static bool end_stream(const web::HttpResponder& responder, http::ResponseWriter& writer) {
    if (responder.was_gone()) {
      writer.abort();
    } else if (responder.begun()) {
      (void)writer.end();
    }
    return responder.was_gone() || responder.begun();
  }

  static void tell(std::string_view id, const std::string& timing,
                   const std::optional<handler::InvocationError>& error) {
    if (!timing.empty()) log_info(cat("timings ", id, ": ", timing));
    if (error) log_warn(cat("invocation ", id, ": ", error->type, ": ", error->message));
  }

  handler::Handler& handler_;
  const handler::Manifest& manifest_;
  web::Service& service_;
  Clock& clock_;
  const Lines lines_;
};

}  // namespace

Call call_of(const http::Request& request) {
  const std::optional<std::string_view> control = request.headers().get(kControlPath);
  for (const Path& path : kPaths) {
    if (control ? *control == path.path
                : request.path() == path.path && request.method() == path.method) {
      return path.call;
    }
  }
  return Call::kHttpInvoke;
}

web::Answer answer(handler::Handler& handler, const handler::Manifest& manifest,
                   web::Service& service, Clock& clock, Lines lines) {
  auto contract = std::make_shared<const Contract>(handler, manifest, service, clock,
                                                   std::move(lines));  // owned by the Answer alone
  return [contract](http::Request& request, http::ResponseWriter& writer) {
    contract->answer(request, writer);
  };
}

web::Answer failure(const Error& error, Lines lines) {
  return [message = error.message, lines = std::move(lines)](http::Request& request,
                                                             http::ResponseWriter& writer) {
    const std::string id = web::request_id_of(request.headers(), {kRequestId, "x-request-id"});
    Logged logged(lines, call_of(request), id);
    logged.end(false);
    web::send(writer, failure_response({"Function.NotStarted", message}));
  };
}

}  // namespace thaw::fc
