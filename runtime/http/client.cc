#include "runtime/http/client.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "base/str.h"
#include "runtime/http/framing.h"
#include "runtime/http/reader.h"
#include "runtime/http/socket.h"

namespace thaw::http {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;      // what one read takes at most
constexpr std::size_t kJoinBytesMax = 128 << 10;  // bodies up to this leave with their head

bool is_safe(std::string_view method) { return method == "GET" || method == "HEAD"; }

// A closed connection, as opposed to one that took too long or was interrupted.
bool is_broken(const Error& error) { return error.code == Code::kIo; }

}  // namespace

struct Client::State {
  std::string authority;
  std::vector<Address> addresses;
  ClientOptions options;
  Event interrupted;
  std::atomic<bool> is_interrupted{false};

  Socket socket;
  std::unique_ptr<MessageReader> reader;
  bool is_reused = false;  // the connection carried an exchange before

  // A streamed request in progress.
  bool is_streaming = false;
  std::string method;
  Deadline deadline;
  std::size_t body_bytes_max = 0;
  std::optional<Response> early;

  Result<Done> connect(Deadline deadline);
  Result<std::string> head_of(const Call& call, std::string_view framing) const;
  Result<bool> send(std::string_view bytes, Deadline until);
  Result<Done> read_more(Deadline until, std::size_t& got);
  Result<Response> receive(std::string_view method, Deadline until, std::size_t bytes_max,
                           const Sink* sink);
  Result<Response> exchange(const Call& call, const Sink* sink, const std::string& head);
  Result<Response> request(const Call& call, const Sink* sink);
  Result<Done> take_early();
  Result<Done> push(std::string_view bytes);
  void close();

  template <class T>
  Result<T> closing(Result<T> result) {
    if (!result.has_value()) close();
    return result;
  }
};

void Client::State::close() {
  socket.close();
  reader = nullptr;
  is_reused = false;
  is_streaming = false;
}

// Makes sure of a connection: the kept one if the peer still holds it, else a new one.
Result<Done> Client::State::connect(Deadline until) {
  if (is_interrupted) return fail(Code::kCancelled, cat("call ", authority, ": interrupted"));
  if (until && system_clock().now() >= *until) {
    return fail(Code::kDeadline, cat("call ", authority, ": time ran out before it began"));
  }
  // Bytes that nobody asked for would be taken for the next answer.
  if (socket.is_open() && !socket.readable()) {
    reader->next();
    if (!reader->has_begun()) return Done{};
  }
  close();
  const Clock::Monotonic limit = system_clock().now() + options.connect_time_max;
  Error last = fail(Code::kUnavailable, cat("connect to ", authority, ": no address"));
  for (const Address& address : addresses) {
    Result<Socket> made =
        connect_to(address, until ? std::min(*until, limit) : limit, interrupted.fd());
    if (made.has_value()) {
      socket = *std::move(made);
      reader = std::make_unique<MessageReader>(MessageReader::Side::kAnswers,
                                               options.head_bytes_max, options.blanks_controls);
      return Done{};
    }
    last = std::move(made).error();
    if (last.code == Code::kCancelled) break;
  }
  // Out of connect_time_max is "not there"; out of the call's own time is a deadline.
  const bool own = last.code == Code::kDeadline && !(until && system_clock().now() >= *until);
  return fail(own ? Code::kUnavailable : last.code, last.message);
}

Result<std::string> Client::State::head_of(const Call& call, std::string_view framing) const {
  if (!is_token(call.method) || !is_target(call.target)) {
    return fail(Code::kInvalid, "send HTTP: a method or target that breaks the request line");
  }
  THAW_TRY_DO(check_fields(call.headers));
  if (call.headers.has("Host")) {
    return fail(Code::kInvalid, "send HTTP: the field 'Host' is set by the connection itself");
  }
  std::string head = cat(call.method, " ", call.target, " HTTP/1.1\r\n");
  append_field(head, "Host", authority);
  append_fields(head, call.headers);
  head.append(framing).append("\r\n");
  return head;
}

// Sends all of `bytes`; false where the peer said something before it took them all.
Result<bool> Client::State::send(std::string_view bytes, Deadline until) {
  while (!bytes.empty()) {
    THAW_TRY(sent, socket.write_now(bytes));
    bytes.remove_prefix(sent);
    if (bytes.empty()) break;
    THAW_TRY(ready, wait_for(socket.fd(), POLLOUT | POLLIN, until, interrupted.fd()));
    if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0) return false;
  }
  return true;
}

Result<Done> Client::State::read_more(Deadline until, std::size_t& got) {
  std::array<char, kReadBytes> part;
  THAW_TRY(count, socket.read_some(part, until, interrupted.fd()));
  got = count;
  if (count == 0) return reader->end_of_bytes();
  return reader->feed({part.data(), count});
}

// Reads an answer to its end; interim ones (100 Continue) are passed over.
Result<Response> Client::State::receive(std::string_view for_method, Deadline until,
                                        std::size_t bytes_max, const Sink* sink) {
  Response response;
  bool head_told = false;
  std::size_t body_bytes = 0;
  reader->next(for_method == "HEAD");
  THAW_TRY_DO(reader->feed({}));
  for (;;) {
    if (reader->head_done() && reader->head().status < 200) {
      if (reader->done()) {
        reader->next(for_method == "HEAD");
        THAW_TRY_DO(reader->feed({}));
        continue;
      }
    } else if (reader->head_done()) {
      if (!std::exchange(head_told, true)) {
        response.status = reader->head().status;
        response.headers = reader->head().fields;
        const auto length = reader->content_length();
        if (for_method != "HEAD" && length && *length > bytes_max) {
          return fail(Code::kLimit,
                      cat("read an answer: ", *length, " bytes, the limit is ", bytes_max));
        }
        if (sink && sink->head) THAW_TRY_DO(sink->head(response.status, response.headers));
      }
      std::string part = std::exchange(reader->body(), {});
      body_bytes += part.size();
      if (body_bytes > bytes_max) {
        return fail(Code::kLimit,
                    cat("read an answer: more than ", bytes_max, " bytes, the limit"));
      }
      if (sink == nullptr)
        response.body += part;
      else if (!part.empty())
        THAW_TRY_DO(sink->body(part));
      if (reader->done()) break;
    }
    std::size_t got = 0;
    THAW_TRY_DO(read_more(until, got));
  }
  response.trailers = reader->trailers();
  if (reader->keeps_alive() && !reader->ends_with_connection())
    is_reused = true;
  else
    close();
  return response;
}

// One try at a whole request.
Result<Response> Client::State::exchange(const Call& call, const Sink* sink,
                                         const std::string& head) {
  THAW_TRY_DO(connect(call.deadline));
  std::string first = head;
  std::string_view rest = is_safe(call.method) ? std::string_view() : call.body;
  if (rest.size() <= kJoinBytesMax) first += std::exchange(rest, {});
  Result<bool> sent = send(first, call.deadline);
  if (sent.has_value() && *sent) sent = send(rest, call.deadline);
  // An answer may have come although, or because, the peer stopped reading (413).
  if (!sent.has_value() && !(is_broken(sent.error()) && socket.readable())) {
    return std::move(sent).error();
  }
  const bool complete = sent.has_value() && *sent;
  THAW_TRY(response, receive(call.method, call.deadline, call.body_bytes_max, sink));
  if (!complete) close();
  return response;
}

Result<Response> Client::State::request(const Call& call, const Sink* sink) {
  if (is_streaming) close();
  early.reset();
  const bool has_body = !is_safe(call.method);
  THAW_TRY(head, head_of(call, has_body ? cat("Content-Length: ", call.body.size(), "\r\n")
                                        : std::string()));
  const bool may_repeat = socket.is_open() && is_reused && is_safe(call.method);
  Result<Response> response = exchange(call, sink, head);
  const bool unanswered =
      !response.has_value() && is_broken(response.error()) && reader && !reader->has_begun();
  if (!response.has_value()) close();
  if (may_repeat && unanswered) response = closing(exchange(call, sink, head));
  return response;
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::create(std::string_view authority,
                                               const ClientOptions& options) {
  THAW_TRY(addresses, parse_authority(authority));
  auto state = std::make_unique<State>();
  state->authority = std::string(authority);
  state->addresses = std::move(addresses);
  state->options = options;
  return std::unique_ptr<Client>(new Client(std::move(state)));
}

Result<Response> Client::request(const Call& call) { return state_->request(call, nullptr); }

Result<Response> Client::request(const Call& call, const Sink& sink) {
  return state_->request(call, &sink);
}

Result<Done> Client::begin_chunked(const Call& call, std::string_view trailers) {
  State& s = *state_;
  if (s.is_streaming) s.close();
  s.early.reset();
  for (const char c : trailers) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      return fail(Code::kInvalid, "send HTTP: trailer names hold a control character");
    }
  }
  std::string framing = "Transfer-Encoding: chunked\r\n";
  if (!trailers.empty()) append_field(framing, "Trailer", trailers);
  THAW_TRY(head, s.head_of(call, framing));
  THAW_TRY_DO(s.connect(call.deadline));
  s.is_streaming = true;
  s.method = std::string(call.method);
  s.deadline = call.deadline;
  s.body_bytes_max = call.body_bytes_max;
  return s.push(head);
}

// The peer spoke in the middle of a streamed request: its answer ends the request.
Result<Done> Client::State::take_early() {
  Result<Response> response = receive(method, deadline, body_bytes_max, nullptr);
  close();
  if (!response.has_value()) return std::move(response).error();
  const int status = response->status;
  early = *std::move(response);
  return fail(Code::kCancelled,
              cat("stream to ", authority, ": the peer answered ", status, " before the end"));
}

// Sends bytes of a streamed request, with an eye on what the peer says.
Result<Done> Client::State::push(std::string_view bytes) {
  if (is_interrupted) {
    close();
    return fail(Code::kCancelled, cat("call ", authority, ": interrupted"));
  }
  if (socket.readable()) return take_early();
  Result<bool> sent = send(bytes, deadline);
  if (sent.has_value() && *sent) return Done{};
  if (sent.has_value() || (is_broken(sent.error()) && socket.readable())) return take_early();
  close();
  return std::move(sent).error();
}

Result<Done> Client::write(std::string_view part) {
  State& s = *state_;
  if (!s.is_streaming) {
    return fail(Code::kInvalid, "stream a request: none was begun, or it has ended");
  }
  if (part.empty()) return Done{};
  std::string chunk;
  append_chunk(chunk, part);
  return s.push(chunk);
}

Result<Response> Client::finish(const Fields& trailers) {
  State& s = *state_;
  if (!s.is_streaming) {
    return fail(Code::kInvalid, "stream a request: none was begun, or it has ended");
  }
  THAW_TRY_DO(check_fields(trailers));
  std::string end(kLastChunk);
  append_fields(end, trailers);
  end += "\r\n";
  const Result<Done> sent = s.push(end);
  if (!sent.has_value()) {
    // The request was whole but for its end: the peer's answer is the answer.
    if (s.early) return *std::exchange(s.early, std::nullopt);
    return sent.error();
  }
  s.is_streaming = false;
  return s.closing(s.receive(s.method, s.deadline, s.body_bytes_max, nullptr));
}

void Client::abort() { state_->close(); }

const Response* Client::early_answer() const { return state_->early ? &*state_->early : nullptr; }

void Client::interrupt() {
  state_->is_interrupted = true;
  state_->interrupted.signal();
}

bool Client::connected() const { return state_->socket.is_open(); }

}  // namespace thaw::http
