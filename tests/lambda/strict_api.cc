#include "strict_api.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <utility>

#include "base/str.h"
#include "runtime/lambda/protocol.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;

http::Deadline soon() { return system_clock().now() + kPatience; }

// "Name: value" lines; what is not one is told to `wrong`.
template <class Wrong>
http::Fields fields_of(std::string_view lines, const Wrong& wrong) {
  static const std::regex kLine(
      "[!#$%&'*+.^_`|~0-9A-Za-z-]+: ([\\x21-\\x7e\\x80-\\xff]"
      "([\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?");
  http::Fields fields;
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string line(lines.substr(0, end));
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 2);
    if (line.size() < 500 && !std::regex_match(line, kLine)) wrong(cat("the line '", line, "'"));
    const std::size_t colon = line.find(": ");
    if (colon == line.npos) continue;
    fields.add(line.substr(0, colon), line.substr(colon + 2));
  }
  return fields;
}

std::size_t count_of(const http::Fields& fields, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(),
                    [&](const http::Field& field) { return http::same_name(field.name, name); }));
}

std::string reply_of(const std::string& reply) {
  if (reply.size() != 3) return reply;
  const std::string_view body = R"({"status":"OK"})";
  return cat("HTTP/1.1 ", reply,
             " X\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\n\r\n",
             body);
}

}  // namespace

// Reads exactly as many bytes as it is allowed to.
class StrictApi::Connection {
 public:
  explicit Connection(http::Socket socket) : socket_(std::move(socket)) {}

  // From now on, until it is called again, so many bytes may be read.
  void allow(std::size_t bytes) {
    allowed_ = bytes;
    read_ = 0;
    if (bytes != kNever) allowed_ -= std::min(allowed_, buffer_.size());
  }
  bool exhausted() const { return allowed_ == 0; }
  std::size_t read() const { return read_; }

  // Up to and with `end`; nothing where the connection or the allowance ends first.
  std::optional<std::string> until(std::string_view end) {
    std::size_t at = 0;
    while ((at = buffer_.find(end)) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    return take(at + end.size());
  }
  std::optional<std::string> exactly(std::size_t bytes) {
    while (buffer_.size() < bytes) {
      if (!more()) return std::nullopt;
    }
    return take(bytes);
  }
  void say(std::string_view bytes, std::size_t piece = kNever) {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, piece);
      if (!socket_.write_all(part, kPatience, -1)) return;
      bytes.remove_prefix(part.size());
      // So that each piece is a read of its own on the other side, most of the time.
      if (piece != kNever) std::this_thread::yield();
    }
  }
  // Both sides hear of it at once, and what was under way is lost.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    socket_.close();
  }
  bool is_open() const { return socket_.is_open(); }

 private:
  bool more() {
    if (allowed_ == 0 || !socket_.is_open()) return false;
    char part[16 << 10];
    const auto got =
        socket_.read_some(std::span(part).first(std::min(sizeof part, allowed_)), soon(), -1);
    if (!got || *got == 0) return false;
    buffer_.append(part, *got);
    if (allowed_ != kNever) allowed_ -= *got;
    return true;
  }
  std::string take(std::size_t bytes) {
    std::string taken = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    read_ += bytes;
    return taken;
  }

  http::Socket socket_;
  std::string buffer_;
  std::size_t allowed_ = kNever;
  std::size_t read_ = 0;
};

StrictApi::StrictApi(std::vector<Exchange> exchanges) : exchanges_(std::move(exchanges)) {
  auto listener = http::listen_on("127.0.0.1", port_);
  EXPECT_TRUE(listener);
  listener_ = *std::move(listener);
  thread_ = std::thread([this] { serve(); });
}

StrictApi::~StrictApi() { join(); }

void StrictApi::join() {
  ended_.signal();
  if (thread_.joinable()) thread_.join();
}

std::string StrictApi::authority() const { return cat("127.0.0.1:", port_); }

const std::vector<Posted>& StrictApi::posted() {
  join();
  return posted_;
}

const std::vector<std::string>& StrictApi::violations() {
  join();
  return violations_;
}

void StrictApi::serve() {
  while (!over_) {
    if (!http::wait_for(listener_.fd(), POLLIN, soon(), ended_.fd())) return;
    Connection connection{http::Socket(::accept(listener_.fd(), nullptr, nullptr))};
    converse(connection);
  }
}

void StrictApi::converse(Connection& connection) {
  bool goes_on = true;
  while (goes_on && !over_ && connection.is_open()) {
    Exchange* const current = at_ < exchanges_.size() ? &exchanges_[at_] : nullptr;
    const bool cuts = invoked_ && current != nullptr && current->post_cut != kNever;
    connection.allow(cuts ? std::exchange(current->post_cut, kNever) : kNever);
    const auto line = connection.until("\r\n");
    if (!line) {
      if (connection.exhausted()) connection.reset();
      return;
    }
    if (*line == cat("GET ", kNextPath, " HTTP/1.1\r\n")) {
      goes_on = next(connection);
    } else if (line->starts_with("POST ") && line->ends_with(" HTTP/1.1\r\n")) {
      goes_on = post(connection, std::string_view(*line).substr(5, line->size() - 5 - 11));
    } else {
      violation(cat("the request line '", *line, "'"));
      return;
    }
    if (connection.exhausted()) return connection.reset();
  }
}

std::string StrictApi::next_answer(const Exchange& exchange) const {
  if (!exchange.raw_next.empty()) return exchange.raw_next;
  std::string answer = cat("HTTP/1.1 200 OK\r\n", kRequestIdHeader, ": ", exchange.request_id,
                           "\r\nContent-Type: application/json\r\n");
  if (!exchange.invocation_id.empty()) {
    answer += cat(kInvocationIdHeader, ": ", exchange.invocation_id, "\r\n");
  }
  for (const std::string& field : exchange.fields) answer += field + "\r\n";
  if (!exchange.chunked) {
    return answer + cat("Content-Length: ", exchange.event.size(), "\r\n\r\n", exchange.event);
  }
  answer += "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
  for (const char c : exchange.event)
    answer += cat("1;x=\"y\"\r\n", std::string_view(&c, 1), "\r\n");
  return answer + "0\r\nX-Sum: 1\r\n\r\n";
}

bool StrictApi::next(Connection& connection) {
  const auto lines = connection.until("\r\n\r\n");
  if (!lines) return false;
  const auto wrong = [&](const std::string& what) { violation(cat("GET next: ", what)); };
  const http::Fields fields =
      fields_of(std::string_view(*lines).substr(0, lines->size() - 4), wrong);
  if (count_of(fields, "Host") != 1 || fields.get("Host") != authority()) wrong("no good Host");
  if (fields.has("Content-Length") || fields.has("Transfer-Encoding")) wrong("a body");
  if (invoked_) {
    if (!refused_ && !exchanges_[at_].may_be_lost) wrong("an event was not answered");
    invoked_ = refused_ = false;
    ++at_;
  }
  if (at_ == exchanges_.size()) {
    connection.say(reply_of("500"));
    over_ = true;
    return false;
  }
  Exchange& exchange = exchanges_[at_];
  if (!exchange.before.empty()) {
    connection.say(reply_of(exchange.before.front()));
    over_ = exchange.before.front() == "500";
    exchange.before.erase(exchange.before.begin());
    return true;
  }
  const std::string answer = next_answer(exchange);
  bytes_of_next_ = answer.size();
  const std::size_t cut = std::exchange(exchange.next_cut, kNever);
  invoked_ = cut >= answer.size();
  connection.say(std::string_view(answer).substr(0, cut), exchange.piece);
  if (cut != kNever) connection.reset();
  return cut == kNever;
}

// True: to the end; false: `early` bytes of it, and no more will be read; nothing: broken off.
std::optional<bool> StrictApi::read_chunks(Connection& connection, Posted& posted,
                                           std::size_t early) {
  const auto wrong = [&](const std::string& what) { violation(cat("a stream: ", what)); };
  for (;;) {
    if (posted.body.size() >= early) return false;
    const auto size_line = connection.until("\r\n");
    if (!size_line) return std::nullopt;
    static const std::regex kSize("[0-9a-fA-F]{1,8}\r\n");
    if (!std::regex_match(*size_line, kSize)) wrong(cat("the chunk '", *size_line, "'"));
    const std::size_t size = std::stoul(*size_line, nullptr, 16);
    if (size == 0) break;
    const auto part = connection.exactly(size + 2);
    if (!part) return std::nullopt;
    if (!part->ends_with("\r\n")) wrong("a chunk without its end");
    posted.body += part->substr(0, size);
  }
  std::string trailers;
  for (;;) {
    const auto line = connection.until("\r\n");
    if (!line) return std::nullopt;
    if (*line == "\r\n") break;
    trailers += *line;
  }
  posted.trailers = fields_of(trailers, wrong);
  return true;
}

bool StrictApi::post(Connection& connection, std::string_view target) {
  const auto wrong = [&](const std::string& what) { violation(cat("POST ", target, ": ", what)); };
  const auto lines = connection.until("\r\n\r\n");
  if (!lines) return false;
  Posted posted;
  posted.headers = fields_of(std::string_view(*lines).substr(0, lines->size() - 4), wrong);
  if (count_of(posted.headers, "Host") != 1) wrong("no Host");
  const auto length = posted.headers.get("Content-Length");
  const auto coding = posted.headers.get("Transfer-Encoding");
  posted.streamed = coding.has_value();
  if (count_of(posted.headers, "Content-Length") + count_of(posted.headers, "Transfer-Encoding") !=
      1) {
    wrong("not one framing");
    return false;
  }
  static const std::regex kTarget("/2018-06-01/runtime/invocation/([^/]+)/(response|error)");
  std::cmatch match;
  if (!std::regex_match(target.data(), target.data() + target.size(), match, kTarget)) {
    wrong("no such path");
    connection.say(reply_of("404"));
    return false;
  }
  posted.request_id = match[1];
  posted.verb = match[2];
  const Exchange* const exchange = at_ < exchanges_.size() ? &exchanges_[at_] : nullptr;
  // The exchange's fault may end the body early.
  const std::size_t early = exchange == nullptr || !invoked_ ? kNever : exchange->reply_early;
  bool whole = true;
  if (length) {
    auto body = connection.exactly(static_cast<std::size_t>(std::stoull(std::string(*length))));
    if (!body) return false;
    posted.body = *std::move(body);
  } else {
    const std::optional<bool> read = read_chunks(connection, posted, early);
    if (!read) return false;
    whole = *read;
  }
  posted.bytes = connection.read();
  if (!invoked_) {
    // Once more, after a reply that was lost.
    connection.say(reply_of("403"));
    return true;
  }
  if (posted.request_id != exchange->request_id) {
    wrong(cat("an id that was not given out; ", exchange->request_id, " was"));
    connection.say(reply_of("400"));
    return true;
  }
  check(posted, *exchange);
  posted_.push_back(std::move(posted));
  if (exchange->lose_reply) {
    invoked_ = false;
    ++at_;
    connection.reset();
    return false;
  }
  // The error after a response that was refused is taken.
  const std::string reply = reply_of(refused_ ? "202" : exchange->reply);
  connection.say(reply);
  const char status = reply.size() > 9 ? reply[9] : '0';
  if (status == '2') {
    invoked_ = refused_ = false;
    ++at_;
  } else {
    refused_ = true;
  }
  if (reply.substr(9, 3) == "500") over_ = true;
  return whole && reply.find("Connection: close") == std::string::npos;
}

// The letter of the contract, whatever the test is about.
void StrictApi::check(const Posted& posted, const Exchange& exchange) {
  const auto wrong = [&](std::string_view what) {
    violation(cat(posted.verb, " ", posted.request_id, ": ", what));
  };
  const auto header = [&](std::string_view name) { return posted.headers.get(name).value_or(""); };
  for (const std::string_view name :
       {kInvocationIdHeader, kResponseModeHeader, kErrorTypeHeader, kErrorCauseHeader,
        std::string_view("Content-Type"), std::string_view("Trailer")}) {
    if (count_of(posted.headers, name) > 1) wrong(cat(name, " twice"));
  }
  if (header("Content-Type").empty()) wrong("no Content-Type");
  if (header(kInvocationIdHeader) != exchange.invocation_id ||
      posted.headers.has(kInvocationIdHeader) != !exchange.invocation_id.empty()) {
    wrong("the invocation id is not echoed as it came");
  }
  if ((header(kResponseModeHeader) == "streaming") != posted.streamed ||
      posted.headers.has(kResponseModeHeader) != posted.streamed) {
    wrong("a stream is what says so, and nothing else");
  }
  static const std::regex kType("(Runtime|Function)\\.[A-Z][a-zA-Z]+");
  const auto check_document = [&](const std::string& text, std::string_view type) {
    if (!std::regex_match(std::string(type), kType)) wrong(cat("the error type '", type, "'"));
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (!document.is_object() || !document.value("errorMessage", nlohmann::json()).is_string() ||
        !document.value("errorType", nlohmann::json()).is_string() ||
        !document.value("stackTrace", nlohmann::json()).is_array()) {
      wrong("no error document");
    }
  };
  if (posted.verb == "error") {
    if (posted.streamed) wrong("a streamed error");
    check_document(posted.body, header(kErrorTypeHeader));
    const std::string_view cause = header(kErrorCauseHeader);
    if (cause.size() > (64 << 10) || !nlohmann::json::accept(cause)) wrong("no X-Ray cause");
  }
  if (!posted.streamed) return;
  if (header("Trailer") !=
      "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body") {
    wrong("trailers that were not announced");
  }
  if (!posted.trailers.empty()) {
    const auto body = base64_decode(posted.trailers.get(kErrorBodyHeader).value_or("?"));
    if (!body || posted.trailers.size() != 2) return wrong("trailers that are no error");
    check_document(*body, posted.trailers.get(kErrorTypeHeader).value_or(""));
  }
}

}  // namespace thaw::lambda
