// Bytes of HTTP/1.1 to messages, one after another, as they come. Beast's parser behind a header
// that does not show it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/http/message.h"

namespace thaw::http {

// The head of a request or an answer.
struct Head {
  std::string method;  // of a request
  std::string target;
  int status = 0;    // of an answer
  int version = 11;  // 10 or 11
  Fields fields;
};

// One thread at a time.
class MessageReader {
 public:
  enum class Side : std::uint8_t { kRequests, kAnswers };
  // `blanks_controls`: control characters in a head are taken as spaces, not as the message's end.
  MessageReader(Side side, std::size_t head_bytes_max, bool blanks_controls = false);
  ~MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Begins the next message with what is left over of the bytes fed. `no_body`: it answers HEAD.
  void next(bool no_body = false);
  // Reads on with `bytes`, which may be empty.
  // Errors: kCorrupt  not HTTP
  //         kLimit    a head, trailers or a chunk's header larger than the limit
  Result<Done> feed(std::string_view bytes);
  // The peer closed. Errors: kIo where a message was cut short by that.
  Result<Done> end_of_bytes();

  bool has_begun() const;  // any byte of the message was fed
  bool head_done() const;
  bool done() const;
  const Head& head() const;  // once head_done()
  bool is_chunked() const;   // as are the next three
  bool ends_with_connection() const;
  bool keeps_alive() const;
  std::optional<std::uint64_t> content_length() const;
  const Fields& trailers() const;  // complete once done()
  std::string& body();             // what of the body was read; the caller takes it out

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thaw::http
