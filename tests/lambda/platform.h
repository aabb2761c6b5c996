// A Runtime API and Extensions API for programs under test: takes any number of loops at once,
// hands events out in order, keeps the answers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/http/server.h"

namespace thaw::lambda {

class Platform {
 public:
  struct Options {
    bool extensions = true;                  // else 404, as a platform without them says
    bool restores = false;                   // /restore/next waits for restore(); else 404
    std::chrono::milliseconds time{60'000};  // each invocation's, from when it is handed out
  };
  struct Answer {
    bool error = false;
    bool streamed = false;
    int loop = 0;  // how many loops had an event when this one was handed out, itself included
    http::Fields headers, trailers;
    std::string body;
  };

  explicit Platform(const Options& options);
  Platform() : Platform(Options{}) {}
  ~Platform();

  std::string authority() const { return server_->authority(); }

  void give(const std::string& id, const std::string& event);
  // The answer to it; nothing where none comes in time.
  std::optional<Answer> answer(const std::string& id,
                               std::chrono::milliseconds patience = std::chrono::seconds(30));
  // give() and answer().
  std::optional<Answer> invoke(const std::string& id, const std::string& event);
  // Waits until so many loops ask for an event; false where they don't.
  bool wait_for_loops(std::size_t count,
                      std::chrono::milliseconds patience = std::chrono::seconds(30));
  // The first part of a stream is there, or the answer itself.
  bool wait_for_begin(const std::string& id);
  void restore();

  bool registered() const;
  bool asked_for_restore() const;
  std::optional<std::string> init_error() const;
  std::optional<std::string> restore_error() const;

 private:
  void serve(http::Request& request, http::ResponseWriter& writer);
  void next(http::ResponseWriter& writer);
  void take(http::Request& request, http::ResponseWriter& writer);
  void wait_until_stopped(http::ResponseWriter& writer, const bool& ready);

  const Options options_;
  mutable std::mutex mutex_;  // guards what follows, up to the server
  std::condition_variable changed_;
  std::deque<std::pair<std::string, std::string>> events_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, int> begun_;
  std::size_t waiting_ = 0;
  int out_ = 0;
  bool registered_ = false;
  bool asked_for_restore_ = false;
  bool restored_ = false;
  bool stopping_ = false;
  std::optional<std::string> init_error_, restore_error_;
  std::map<std::string, int> loops_at_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace thaw::lambda
