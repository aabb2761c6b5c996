#include "runtime/http/connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/str.h"
#include "base/wipe.h"
#include "runtime/http/framing.h"

namespace thaw::http {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kReadBytes = 16 << 10;
// What is read of a request that nobody wants, so that its connection lives on, or so that closing
// it does not destroy the answer on its way.
constexpr std::size_t kDrainBytesMax = 256 << 10;
constexpr milliseconds kLinger{1000};

Deadline in(milliseconds time) { return system_clock().now() + time; }

class Connection;

class ServerRequest final : public Request {
 public:
  explicit ServerRequest(Connection& connection);

  std::string_view method() const override;
  std::string_view target() const override;
  const Fields& headers() const override;
  std::string_view peer() const override;
  std::optional<std::uint64_t> content_length() const override;
  void set_body_limits(std::size_t bytes_max, milliseconds silence_max) override;
  void limit_body(std::size_t bytes_max) override { bytes_max_ = bytes_max; }
  Result<std::size_t> read_some(std::span<char> to) override;
  const Fields& trailers() const override;

  // The status that reading the body came to grief with; 0: it did not.
  int failed_status() const { return failed_status_; }
  bool body_is_awaited() const { return expects_continue_; }
  void expect_continue() { expects_continue_ = true; }

 private:
  Result<Done> fill();
  Error failed(Error error);

  Connection& connection_;
  std::size_t bytes_max_;
  milliseconds silence_max_;
  bool may_drip_ = false;  // for as long as it likes
  Deadline arrived_;       // by then
  std::size_t bytes_ = 0;  // of the body so far
  std::string pending_;    // read but not yet taken
  std::size_t taken_ = 0;  // of pending_
  bool expects_continue_ = false;
  int failed_status_ = 0;
  std::optional<Error> error_;

  friend class Connection;
};

class ServerResponse final : public ResponseWriter {
 public:
  explicit ServerResponse(Connection& connection) : connection_(connection) {}

  Result<Done> send(int status, const Fields& headers, std::string_view body) override;
  Result<Done> begin(int status, const Fields& headers) override;
  Result<Done> write(std::string_view part) override;
  Result<Done> end(const Fields& trailers) override;
  void abort() override;
  bool cancelled() const override;
  bool begun() const override { return state_ != State::kNone; }
  bool complete() const { return state_ == State::kDone; }

 private:
  enum class State : std::uint8_t { kNone, kStreaming, kDone, kBroken };
  Result<Done> put(std::string_view bytes);
  Result<std::string> head(int status, const Fields& headers, std::string_view framing);

  Connection& connection_;
  State state_ = State::kNone;
  bool has_body_ = true;    // else what is written is left out: HEAD, 204, 304
  bool is_chunked_ = true;  // else it ends with the connection
};

class Connection {
 public:
  Connection(Socket socket, std::string peer, Shared& shared)
      : socket_(std::move(socket)),
        peer_(std::move(peer)),
        shared_(shared),
        reader_(MessageReader::Side::kRequests, shared.options.head_bytes_max) {}

  void serve();

 private:
  friend class ServerRequest;
  friend class ServerResponse;

  Result<bool> read_head();
  int check_head() const;
  bool handle();
  bool drain_now();
  void refuse(int status);
  void linger();

  Socket socket_;
  std::string peer_;
  Shared& shared_;
  MessageReader reader_;
  bool keeps_ = true;  // the connection may carry another request
};

// ---- the request

std::string_view ServerRequest::method() const { return connection_.reader_.head().method; }
std::string_view ServerRequest::target() const { return connection_.reader_.head().target; }
const Fields& ServerRequest::headers() const { return connection_.reader_.head().fields; }
ServerRequest::ServerRequest(Connection& connection)
    : connection_(connection),
      bytes_max_(connection.shared_.options.body_bytes_max),
      silence_max_(connection.shared_.options.read_time_max) {}

std::string_view ServerRequest::peer() const { return connection_.peer_; }
const Fields& ServerRequest::trailers() const { return connection_.reader_.trailers(); }

std::optional<std::uint64_t> ServerRequest::content_length() const {
  if (connection_.reader_.is_chunked()) return std::nullopt;
  return connection_.reader_.content_length().value_or(0);
}

void ServerRequest::set_body_limits(std::size_t bytes_max, milliseconds silence_max) {
  bytes_max_ = bytes_max;
  silence_max_ = silence_max;
  may_drip_ = true;
}

Error ServerRequest::failed(Error error) {
  switch (error.code) {
    case Code::kLimit: failed_status_ = 413; break;
    case Code::kDeadline: failed_status_ = 408; break;
    case Code::kCorrupt: failed_status_ = 400; break;
    default: failed_status_ = 503; break;  // the client left, or the server stops
  }
  connection_.keeps_ = false;
  error_ = error;
  return error;
}

// Reads until there is something pending or the body has ended.
Result<Done> ServerRequest::fill() {
  MessageReader& reader = connection_.reader_;
  Shared& shared = connection_.shared_;
  if (!arrived_ && !may_drip_) arrived_ = in(shared.options.body_time_max);
  for (;;) {
    pending_ = std::exchange(reader.body(), {});
    taken_ = 0;
    bytes_ += pending_.size();
    const std::uint64_t declared = content_length().value_or(0);
    if (bytes_ > bytes_max_ || declared > bytes_max_) {
      pending_.clear();
      return fail(Code::kLimit,
                  cat("read a request: its body is larger than ", bytes_max_, " bytes, the limit"));
    }
    if (!pending_.empty() || reader.done()) return Done{};
    if (std::exchange(expects_continue_, false)) {
      THAW_TRY_DO(connection_.socket_.write_all("HTTP/1.1 100 Continue\r\n\r\n",
                                                shared.options.write_time_max, shared.cut.fd()));
    }
    std::array<char, kReadBytes> part;
    const Deadline silent = in(silence_max_);
    THAW_TRY(got, connection_.socket_.read_some(
                      part, arrived_ ? std::min(silent, arrived_) : silent, shared.cut.fd()));
    if (got == 0) return fail(Code::kIo, "read a request: the client closed before its end");
    Result<Done> fed = reader.feed({part.data(), got});
    // Trailers that are too large are as bad as any other.
    if (!fed.has_value()) return fail(Code::kCorrupt, std::move(fed).error().message);
  }
}

Result<std::size_t> ServerRequest::read_some(std::span<char> to) {
  if (error_) return *error_;
  if (taken_ == pending_.size()) {
    Result<Done> filled = fill();
    if (!filled.has_value()) return failed(std::move(filled).error());
  }
  const std::size_t count = std::min(to.size(), pending_.size() - taken_);
  std::memcpy(to.data(), pending_.data() + taken_, count);
  taken_ += count;
  return count;
}

// ---- the answer

Result<Done> ServerResponse::put(std::string_view bytes) {
  const Shared& shared = connection_.shared_;
  Result<Done> written =
      connection_.socket_.write_all(bytes, shared.options.write_time_max, shared.cut.fd());
  if (!written.has_value()) {
    state_ = State::kBroken;
    connection_.keeps_ = false;
  }
  return written;
}

Result<std::string> ServerResponse::head(int status, const Fields& headers,
                                         std::string_view framing) {
  if (begun()) return fail(Code::kInvalid, "answer a request: it was answered before");
  if (status < 200 || status > 999) {
    return fail(Code::kInvalid, cat("answer a request: the status ", status));
  }
  THAW_TRY_DO(check_fields(headers));
  Connection& c = connection_;
  // A body that the handler did not want must not be taken for the next request.
  const bool is_last = c.shared_.is_stopping || c.shared_.is_draining;
  if (!c.drain_now() || is_last) c.keeps_ = false;
  const bool is_new = c.reader_.head().version >= 11;
  std::string head = cat("HTTP/1.1 ", status, " ", reason_of(status), "\r\n");
  append_fields(head, headers);
  head += framing;
  if (!c.keeps_)
    append_field(head, "Connection", "close");
  else if (!is_new)
    append_field(head, "Connection", "keep-alive");
  head += "\r\n";
  return head;
}

Result<Done> ServerResponse::send(int status, const Fields& headers, std::string_view body) {
  const bool may_have_body = status != 204 && status != 304;
  std::string framing;
  if (may_have_body) append_field(framing, "Content-Length", cat(body.size()));
  THAW_TRY(bytes, head(status, headers, framing));
  if (may_have_body && connection_.reader_.head().method != "HEAD") bytes += body;
  state_ = State::kDone;
  return put(bytes);
}

Result<Done> ServerResponse::begin(int status, const Fields& headers) {
  const Head& request = connection_.reader_.head();
  const bool may_have_body = status != 204 && status != 304;
  const bool chunked = request.version >= 11;
  const bool kept = std::exchange(connection_.keeps_, connection_.keeps_ && chunked);
  Result<std::string> bytes =
      head(status, headers,
           may_have_body && chunked ? "Transfer-Encoding: chunked\r\n" : std::string_view());
  if (!bytes.has_value()) {
    connection_.keeps_ = kept;
    return std::move(bytes).error();
  }
  has_body_ = may_have_body && request.method != "HEAD";
  is_chunked_ = chunked;
  state_ = State::kStreaming;
  return put(*bytes);
}

Result<Done> ServerResponse::write(std::string_view part) {
  if (state_ == State::kBroken) return fail(Code::kIo, "answer a request: the connection broke");
  if (state_ != State::kStreaming) {
    return fail(Code::kInvalid, "answer a request: no stream was begun, or it has ended");
  }
  if (part.empty() || !has_body_) return Done{};
  if (!is_chunked_) return put(part);
  std::string chunk;
  append_chunk(chunk, part);
  return put(chunk);
}

Result<Done> ServerResponse::end(const Fields& trailers) {
  if (state_ == State::kBroken) return fail(Code::kIo, "answer a request: the connection broke");
  if (state_ != State::kStreaming) {
    return fail(Code::kInvalid, "answer a request: no stream was begun, or it has ended");
  }
  THAW_TRY_DO(check_fields(trailers));
  state_ = State::kDone;
  if (!has_body_ || !is_chunked_) return Done{};
  std::string last(kLastChunk);
  append_fields(last, trailers);
  last += "\r\n";
  return put(last);
}

void ServerResponse::abort() {
  state_ = State::kBroken;
  connection_.keeps_ = false;
  connection_.socket_.shut_down_sending();
}

bool ServerResponse::cancelled() const {
  return connection_.shared_.is_stopping || connection_.socket_.peer_closed();
}

// ---- the connection

// Takes what is there of the request's body without waiting; true where that is all of it.
bool Connection::drain_now() {
  std::array<char, kReadBytes> part;
  for (std::size_t drained = 0; !reader_.done() && drained < kDrainBytesMax;) {
    const Result<std::optional<std::size_t>> got = socket_.read_now(part);
    if (!got.has_value() || !*got || **got == 0) break;
    drained += **got;
    if (!reader_.feed({part.data(), **got}).has_value()) break;
  }
  return reader_.done();
}

// Closes so that the client still gets what was sent: a socket closed with bytes unread resets the
// connection, answer and all.
void Connection::linger() {
  socket_.shut_down_sending();
  const Deadline deadline = in(kLinger);
  std::array<char, kReadBytes> part;
  for (std::size_t drained = 0; drained < kDrainBytesMax * 16;) {
    const Result<std::size_t> got = socket_.read_some(part, deadline, shared_.cut.fd());
    if (!got.has_value() || *got == 0) break;
    drained += *got;
  }
  socket_.close();
}

void Connection::refuse(int status) {
  const Result<Done> sent =
      socket_.write_all(closing_answer(status), shared_.options.write_time_max, shared_.cut.fd());
  if (sent.has_value()) linger();
}

// Reads the next request's head; false where there is none and the connection ends in peace.
Result<bool> Connection::read_head() {
  reader_.next();
  THAW_TRY_DO(reader_.feed({}));
  Deadline deadline;
  while (!reader_.head_done()) {
    const bool begun = reader_.has_begun();
    if (begun && !deadline) deadline = in(shared_.options.read_time_max);
    std::array<char, kReadBytes> part;
    const int wake = begun ? shared_.cut.fd() : shared_.stopping.fd();
    Result<std::size_t> got =
        socket_.read_some(part, begun ? deadline : in(shared_.options.idle_time_max), wake);
    if (!begun && (!got.has_value() || *got == 0)) return false;
    THAW_TRY(count, std::move(got));
    if (count == 0) return fail(Code::kIo, "read a request: the client closed before its end");
    THAW_TRY_DO(reader_.feed({part.data(), count}));
  }
  return true;
}

// The status to refuse a well-formed head with; 0: none.
int Connection::check_head() const {
  const Head& head = reader_.head();
  if (head.target.size() > kTargetBytesMax) return 414;
  std::size_t hosts = 0;
  for (const Field& field : head.fields) hosts += same_name(field.name, "Host") ? 1 : 0;
  if (hosts > 1 || (hosts == 0 && head.version >= 11)) return 400;
  if (head.fields.has("Transfer-Encoding") && !reader_.is_chunked()) return 501;
  const auto expects = head.fields.get("Expect");
  if (expects && !same_name(*expects, "100-continue")) return 417;
  return 0;
}

// Answers one request; whether the connection lives on.
bool Connection::handle() {
  keeps_ = reader_.keeps_alive();
  ServerRequest request(*this);
  if (reader_.head().fields.has("Expect") && reader_.head().version >= 11) {
    request.expect_continue();
  }
  ServerResponse response(*this);
  shared_.handler(request, response);
  if (!response.begun()) {
    const int status = request.failed_status() != 0 ? request.failed_status() : 500;
    const Result<Done> sent = response.send(status, {{"Content-Type", "text/plain"}},
                                            cat(status, " ", reason_of(status), "\n"));
    if (!sent.has_value()) return false;
  }
  if (!response.complete()) return false;
  if (!reader_.done() && !drain_now()) {
    keeps_ = false;
    linger();
  }
  return keeps_;
}

void Connection::serve() {
  for (;;) {
    const Result<bool> read = read_head();
    if (!read.has_value()) {
      switch (read.error().code) {
        case Code::kLimit: refuse(431); break;
        case Code::kCorrupt: refuse(400); break;
        case Code::kDeadline: refuse(408); break;
        default: break;
      }
      return;
    }
    if (!*read) return;
    if (const int status = check_head(); status != 0) return refuse(status);
    const bool goes_on = handle();
    wipe_stack();  // of what was asked and answered
    if (!goes_on) return;
  }
}

}  // namespace

std::string closing_answer(int status) {
  const std::string body = cat(status, " ", reason_of(status), "\n");
  return cat("HTTP/1.1 ", body.substr(0, body.size() - 1),
             "\r\nContent-Type: text/plain\r\nContent-Length: ", body.size(),
             "\r\nConnection: close\r\n\r\n", body);
}

void serve_connection(Socket socket, std::string peer, Shared& shared) {
  Connection(std::move(socket), std::move(peer), shared).serve();
}

}  // namespace thaw::http
