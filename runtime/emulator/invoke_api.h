// What comes in at the emulator's public port, and which function, which kind of call it is for.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "runtime/emulator/fleet.h"
#include "runtime/emulator/text.h"
#include "runtime/http/server.h"

namespace thaw::emulator {

// Thread-safe.
class InvokeApi {
 public:
  static constexpr std::size_t kWaitingEventsMax = 1000;   // asynchronous ones
  static constexpr std::size_t kAsyncBytesMax = 1u << 20;  // AWS's limit for them

  // `fleet` and `clock` outlive it.
  InvokeApi(Fleet& fleet, const Options& options, Clock& clock, LogSink log);
  ~InvokeApi();

  void serve(http::Request& request, http::ResponseWriter& writer);

 private:
  struct Call {
    http::Request& request;
    http::ResponseWriter& writer;
    std::string request_id;
  };
  struct Waiting {
    std::string function;
    std::shared_ptr<Invocation> invocation;
  };

  bool serve_api(Call& call);
  void invoke(Call& call, std::string_view name, bool streaming);
  void invoke_buffered(Call& call, const FunctionOptions& function,
                       const std::shared_ptr<Invocation>& invocation);
  void invoke_later(Call& call, const FunctionOptions& function,
                    std::shared_ptr<Invocation> invocation);
  void serve_url(Call& call, const FunctionOptions& function, std::string_view path);
  std::shared_ptr<Invocation> make_invocation(const Call& call, const FunctionOptions& function);
  void work_off();

  Fleet& fleet_;
  const Options options_;
  Clock& clock_;
  LogSink log_;
  Ids ids_;

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool ending_ = false;
  std::thread worker_;
};

// The function's name in what an Invoke path names: "chat", "chat:PROD", "123456789012:chat",
// "arn:aws:lambda:us-east-1:123456789012:function:chat:PROD"; already percent-decoded.
std::string_view function_name_in(std::string_view reference);

}  // namespace thaw::emulator
