#include "runtime/web/plain.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "handler/cloud_events_http.h"
#include "handler/event/http_fields.h"
#include "runtime/web/azure.h"
#include "runtime/web/exchange.h"
#include "runtime/web/request_id.h"

namespace thaw::web {
namespace {

using std::chrono::milliseconds;

std::optional<Clock::Monotonic> deadline_of(const http::Request& request, Clock& clock,
                                            const PlainOptions& options) {
  std::optional<milliseconds> most = options.request_time_max;
  if (const auto timeout = go_duration(request.headers().get("X-Timeout").value_or(""))) {
    most = most ? std::min(*most, *timeout) : *timeout;
  }
  if (!most) return std::nullopt;
  return clock.now() + *most;
}

// Other readings of the path than the one that it came with.
void add_readings(const http::Request& request, const PlainOptions& options,
                  event::HttpRequest& read) {
  const std::string_view path = request.path();
  if (options.azure) add_azure_path(read, path);
  const bool is_root = path.empty() || path == "/";
  if (is_root && read.method == "POST" && !handler::is_cloud_event(read)) {
    event::add_path(read, "/predict");
  }
}

}  // namespace

Answer plain_answer(handler::Handler& handler, const handler::Manifest& manifest, Clock& clock,
                    const PlainOptions& options) {
  return [&handler, &manifest, &clock, options](http::Request& request,
                                                http::ResponseWriter& writer) {
    const std::string id = request_id_of(request.headers(), {"X-Request-Id", "X-Call-Id"});
    const handler::InvocationContext context{id, deadline_of(request, clock, options)};
    // An envelope doubles what it holds at most, quotes and backslashes escaped.
    const std::size_t bytes_max = std::size_t{manifest.event_bytes_max} * (options.azure ? 2 : 1);
    Result<event::HttpRequest> read = read_request(request, bytes_max);
    if (!read) return send(writer, unreadable_response(read.error(), id));
    if (options.azure && is_azure_invocation(*read)) {
      return send(writer, answer_azure(handler, *read, context));
    }
    add_readings(request, options, *read);
    answer(handler, *read, context, writer);
  };
}

std::optional<milliseconds> go_duration(std::string_view text) {
  constexpr double kMillisecondsMax = 24 * 3600 * 1000.0;
  constexpr struct {
    std::string_view name;
    double milliseconds;
  } kUnits[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double count = 0;
    const auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), count, std::chars_format::fixed);
    if (parsed.ec != std::errc() || !(count >= 0)) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    const std::string_view name = text.substr(0, text.find_first_of("0123456789."));
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const auto& each) { return each.name == name; });
    if (unit == std::end(kUnits)) return std::nullopt;
    text.remove_prefix(name.size());
    total += count * unit->milliseconds;
  }
  if (!(total <= kMillisecondsMax)) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(std::ceil(total)));
}

}  // namespace thaw::web
