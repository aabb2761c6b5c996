// A streamed answer on its way to the Runtime API: head, HTTP prelude, parts, and the two trailers
// that tell of a failure in the middle.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "handler/handler.h"
#include "runtime/lambda/transport.h"

namespace thaw::lambda {

// For one invocation. What it is given must outlive it. One thread at a time.
class StreamResponder final : public handler::Responder {
 public:
  // `invocation_id`: echoed unless empty.
  StreamResponder(Transport& transport, std::string_view request_id, std::string_view invocation_id)
      : transport_(transport), request_id_(request_id), invocation_id_(invocation_id) {}

  // Always true: a runtime cannot see the mode that it is invoked in, and a platform that buffers
  // takes a stream as well.
  bool can_stream() const override { return true; }
  Result<Done> begin(const handler::StreamHead& head) override;
  // Errors, beside the transport's: kLimit, beyond kStreamBytesMax; the stream is still finished,
  // with an error that says so.
  Result<Done> write(std::string_view bytes) override;

  // Ends the stream, with the error in its trailers if there is one, and reads the platform's word.
  // Precondition: begun() and neither broken() nor early_status().
  Result<http::Response> finish(const std::optional<handler::InvocationError>& error);

  bool begun() const { return begun_; }
  bool too_large() const { return too_large_; }
  bool broken() const { return broken_; }  // a part could not be sent; the rest would be garbage
  // The status with which the platform answered before the stream's end, such as 410.
  std::optional<int> early_status() const;

 private:
  Transport& transport_;
  std::string_view request_id_;
  std::string_view invocation_id_;
  std::size_t bytes_ = 0;
  bool begun_ = false;
  bool too_large_ = false;
  bool broken_ = false;
};

}  // namespace thaw::lambda
