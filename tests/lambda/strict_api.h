// A Runtime API on a real socket that follows a script, holds the runtime to the letter of the
// protocol, and can misbehave at any byte.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/http/message.h"
#include "runtime/http/socket.h"

namespace thaw::lambda {

inline constexpr std::size_t kNever = static_cast<std::size_t>(-1);

// One event, and what the platform does about it. Faults happen once; what was not taken because of
// one is handed out, or taken, the next time.
struct Exchange {
  std::string request_id = "id-1";
  std::string invocation_id = {};  // empty: the platform gives none
  std::string event = "{}";
  std::vector<std::string> fields = {};  // lines of the head beside the usual, as they are
  std::string raw_next = {};             // said in place of all that, byte for byte
  std::vector<std::string> before = {};  // said, one a request, before the event is handed out
  bool chunked = false;                  // the event comes in chunks, with a trailer
  std::size_t piece = kNever;            // bytes that the event is sent in at a time
  std::size_t next_cut = kNever;         // the event is broken off after so many bytes
  std::size_t post_cut = kNever;         // the runtime's post is broken off after so many
  bool lose_reply = false;               // the post is taken, its connection broken
  std::size_t reply_early = kNever;      // replied to after so many bytes of the post
  std::string reply = "202";             // the status; or all of the reply, byte for byte
  bool may_be_lost = false;              // no post need come
};

// What the runtime handed in.
struct Posted {
  std::string request_id, verb;  // "response", "error"
  http::Fields headers, trailers;
  std::string body;
  bool streamed = false;
  std::size_t bytes = 0;  // of the whole request
};

class StrictApi {
 public:
  // After the last exchange /next is answered with 500, which ends the loop.
  explicit StrictApi(std::vector<Exchange> exchanges);
  ~StrictApi();
  StrictApi(const StrictApi&) = delete;
  StrictApi& operator=(const StrictApi&) = delete;

  std::string authority() const;
  // Waits for the loop's last words; call these after it has ended.
  const std::vector<Posted>& posted();
  // What the runtime did that the protocol does not allow; one line each.
  const std::vector<std::string>& violations();
  std::size_t bytes_of_next() const { return bytes_of_next_; }  // of the last event's answer

 private:
  class Connection;
  void serve();
  void converse(Connection& connection);
  bool next(Connection& connection);
  bool post(Connection& connection, std::string_view target);
  std::optional<bool> read_chunks(Connection& connection, Posted& posted, std::size_t early);
  void check(const Posted& posted, const Exchange& exchange);
  std::string next_answer(const Exchange& exchange) const;
  void violation(std::string what) { violations_.push_back(std::move(what)); }
  void join();

  // Of the thread alone until it is joined.
  std::vector<Exchange> exchanges_;
  std::size_t at_ = 0;
  bool invoked_ = false;  // the event of exchanges_[at_] is out
  bool refused_ = false;  // and a post about it was refused
  bool over_ = false;
  std::vector<Posted> posted_;
  std::vector<std::string> violations_;
  std::size_t bytes_of_next_ = 0;

  http::Socket listener_;
  std::uint16_t port_ = 0;
  http::Event ended_;
  std::thread thread_;
};

}  // namespace thaw::lambda
