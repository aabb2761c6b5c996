#include "runtime/http/reader.h"

#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <span>
#include <utility>

#include "base/str.h"

namespace thaw::http {
namespace {

namespace beast = boost::beast;
using BeastError = beast::error_code;

// What a message is read into.
struct Message {
  Head head;
  bool head_done = false;
  Fields trailers;
  std::size_t trailer_bytes = 0;
  std::size_t trailer_bytes_max = 0;
  std::string body;
};

template <bool kIsRequest>
class Parser final : public beast::http::basic_parser<kIsRequest> {
 public:
  explicit Parser(Message& message) : message_(message) {}

 private:
  using View = beast::string_view;

  void on_request_impl(beast::http::verb, View method, View target, int version,
                       BeastError& error) override {
    message_.head.method.assign(method.data(), method.size());
    message_.head.target.assign(target.data(), target.size());
    message_.head.version = version;
    error = {};
  }
  void on_response_impl(int status, View, int version, BeastError& error) override {
    message_.head.status = status;
    message_.head.version = version;
    error = {};
  }
  void on_field_impl(beast::http::field, View name, View value, BeastError& error) override {
    error = {};
    const std::string_view field(name.data(), name.size());
    const std::string_view text(value.data(), value.size());
    if (!message_.head_done) {
      message_.head.fields.add(field, text);
      return;
    }
    message_.trailer_bytes += field.size() + text.size();
    if (message_.trailer_bytes > message_.trailer_bytes_max) {
      error = beast::http::error::header_limit;
      return;
    }
    message_.trailers.add(field, text);
  }
  void on_header_impl(BeastError& error) override {
    message_.head_done = true;
    error = {};
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, BeastError& error) override {
    error = {};
  }
  std::size_t on_body_impl(View body, BeastError& error) override {
    message_.body.append(body.data(), body.size());
    error = {};
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, BeastError& error) override { error = {}; }
  std::size_t on_chunk_body_impl(std::uint64_t, View body, BeastError& error) override {
    return on_body_impl(body, error);
  }
  void on_finish_impl(BeastError& error) override { error = {}; }

  Message& message_;
};

// One message and what reads it; what both kinds of parser can do, asked through one interface.
class AnyParser {
 public:
  virtual ~AnyParser() = default;
  Message message;
  virtual std::size_t put(std::string_view bytes, BeastError& error) = 0;
  virtual void put_eof(BeastError& error) = 0;
  virtual bool done() const = 0;
  virtual bool chunked() const = 0;
  virtual bool need_eof() const = 0;
  virtual bool keep_alive() const = 0;
  virtual std::optional<std::uint64_t> content_length() const = 0;
};

template <bool kIsRequest>
class ParserOf final : public AnyParser {
 public:
  ParserOf(std::size_t head_bytes_max, bool no_body) : parser_(message) {
    message.trailer_bytes_max = head_bytes_max;
    parser_.eager(true);
    parser_.skip(no_body);
    parser_.body_limit(boost::none);  // callers have limits of their own
    parser_.header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(head_bytes_max, std::numeric_limits<std::uint32_t>::max())));
  }
  std::size_t put(std::string_view bytes, BeastError& error) override {
    return parser_.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  }
  void put_eof(BeastError& error) override { parser_.put_eof(error); }
  bool done() const override { return parser_.is_done(); }
  bool chunked() const override { return parser_.chunked(); }
  bool need_eof() const override { return parser_.need_eof(); }
  bool keep_alive() const override { return parser_.keep_alive(); }
  std::optional<std::uint64_t> content_length() const override {
    const auto length = parser_.content_length();
    return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
  }

 private:
  Parser<kIsRequest> parser_;
};

// Sees a head go by, byte by byte, and blanks its control characters.
class ControlBlanker {
 public:
  void pass(std::span<char> bytes) {
    for (char& c : bytes) {
      if (is_over_) return;
      const auto code = static_cast<unsigned char>(c);
      if (c == '\n') {
        is_over_ = line_is_empty_;
        line_is_empty_ = true;
      } else if (c != '\r') {
        line_is_empty_ = false;
        if ((code < 0x20 && c != '\t') || code == 0x7F) c = ' ';
      }
    }
  }

 private:
  bool line_is_empty_ = false;
  bool is_over_ = false;
};

}  // namespace

struct MessageReader::State {
  Side side;
  std::size_t head_bytes_max;
  bool blanks_controls = false;
  ControlBlanker blanker;
  bool is_new = true;  // nothing was fed since next()
  std::string buffer;  // bytes that no message has taken yet
  bool has_begun = false;
  std::unique_ptr<AnyParser> parser;  // and the message
};

MessageReader::MessageReader(Side side, std::size_t head_bytes_max, bool blanks_controls)
    : state_(std::make_unique<State>()) {
  state_->side = side;
  state_->head_bytes_max = head_bytes_max;
  state_->blanks_controls = blanks_controls;
  next();
}

MessageReader::~MessageReader() = default;

void MessageReader::next(bool no_body) {
  State& s = *state_;
  // Both anew rather than emptied: what is emptied keeps what it held, for as long as a connection
  // is kept, where what is freed is wiped (base/wipe.h).
  std::string(s.buffer).swap(s.buffer);
  s.has_begun = !s.buffer.empty();
  s.blanker = {};
  s.is_new = true;
  if (s.side == Side::kRequests) {
    s.parser = std::make_unique<ParserOf<true>>(s.head_bytes_max, no_body);
  } else {
    s.parser = std::make_unique<ParserOf<false>>(s.head_bytes_max, no_body);
  }
}

Result<Done> MessageReader::feed(std::string_view bytes) {
  State& s = *state_;
  s.buffer.append(bytes);
  if (s.blanks_controls) {
    // What was left over by the message before is new to this one.
    const std::size_t fresh = std::exchange(s.is_new, false) ? s.buffer.size() : bytes.size();
    s.blanker.pass(std::span(s.buffer).last(fresh));
  }
  s.has_begun = s.has_begun || !bytes.empty();
  std::size_t used = 0;
  BeastError error;
  while (used < s.buffer.size() && !s.parser->done()) {
    const std::size_t taken = s.parser->put(std::string_view(s.buffer).substr(used), error);
    used += taken;
    if (error || taken == 0) break;
  }
  s.buffer.erase(0, used);
  if (error == beast::http::error::need_more) error = {};
  const bool is_large = error == beast::http::error::header_limit ||
                        (!s.parser->done() && s.buffer.size() > s.head_bytes_max);
  if (is_large) {
    return fail(Code::kLimit,
                cat("read HTTP: a head larger than ", s.head_bytes_max, " bytes, the limit"));
  }
  if (error) return fail(Code::kCorrupt, cat("read HTTP: ", error.message()));
  return Done{};
}

Result<Done> MessageReader::end_of_bytes() {
  State& s = *state_;
  BeastError error;
  if (s.has_begun && s.parser->need_eof() && s.parser->message.head_done && !s.parser->done()) {
    s.parser->put_eof(error);
    if (!error) return Done{};
  }
  if (s.parser->done()) return Done{};
  return fail(Code::kIo, s.has_begun ? "read HTTP: the peer closed in the middle of a message"
                                     : "read HTTP: the peer closed before a message");
}

bool MessageReader::has_begun() const { return state_->has_begun; }
bool MessageReader::head_done() const { return state_->parser->message.head_done; }
bool MessageReader::done() const { return state_->parser->done(); }
const Head& MessageReader::head() const { return state_->parser->message.head; }
bool MessageReader::is_chunked() const { return state_->parser->chunked(); }
bool MessageReader::ends_with_connection() const { return state_->parser->need_eof(); }
bool MessageReader::keeps_alive() const { return state_->parser->keep_alive(); }
std::optional<std::uint64_t> MessageReader::content_length() const {
  return state_->parser->content_length();
}
const Fields& MessageReader::trailers() const { return state_->parser->message.trailers; }
std::string& MessageReader::body() { return state_->parser->message.body; }

}  // namespace thaw::http
