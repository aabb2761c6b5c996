// What invokes functions on a laptop without a client: messages of a file or stdin in batches (as
// SQS does), files that appear in a folder (as S3 does), schedules (as EventBridge does).
//
// A batch that fails is visible again after the visibility timeout, alone the failed messages where
// the function answers so; after kReceivesMax it goes to a dead-letter file. A file of messages is
// read from its first line at each start, and followed. A folder's new files are told once their
// size stands still; what lies there at the start is not.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/state_files.h"
#include "runtime/emulator/text.h"
#include "runtime/triggers/events.h"
#include "runtime/triggers/schedule.h"

namespace thaw::triggers {

// How functions are reached; both are called on a source's own thread.
struct Functions {
  struct Answer {
    bool succeeded = false;
    std::string body;
  };
  std::function<Answer(const std::string& function, std::string event)> invoke;  // waits
  std::function<Result<Done>(const std::string& function, std::string event)> accept;
};

struct QueueSource {
  std::string function, name;
  std::string path;  // lines are messages; "-": stdin
  std::string dead_letters;
  std::uint32_t batch_size = 10;
  std::chrono::milliseconds window{0};  // a batch waits so long to be full
  std::chrono::milliseconds visibility = std::chrono::seconds(30);
  bool partial_failures = false;
};

struct BucketSource {
  std::string function, name;
  std::string directory;
};

struct ScheduleSource {
  std::string function, name;
  Schedule schedule;
  std::string input;  // the event, or empty: EventBridge's own
};

// Thread-safe.
class Triggers {
 public:
  static constexpr std::size_t kMessagesMax = 10'000;        // of a queue, in memory
  static constexpr std::size_t kMessageBytesMax = 1u << 20;  // SQS's
  static constexpr std::uint32_t kReceivesMax = 5;
  static constexpr std::size_t kFilesMax = 10'000;  // of a watched folder
  static constexpr int kFolderDepthMax = 8;

  // All outlive it.
  Triggers(Functions functions, Clock& clock, Files& files, StateFiles& state_files,
           std::string region, std::function<void(std::string_view)> log);
  // Ends every source, once its invocation in progress has been answered.
  ~Triggers();

  void add(QueueSource source);
  void add(BucketSource source);
  void add(ScheduleSource source);
  // Nothing begins any more. Returns at once.
  void stop();

 private:
  class Queue;
  void watch(const BucketSource& source);
  void keep_time(const ScheduleSource& source);
  bool list(const std::string& directory, const std::string& prefix, int depth,
            std::map<std::string, std::uint64_t>& found) const;
  bool wait(std::chrono::nanoseconds time);  // false: it stops
  bool stopping();

  Functions functions_;
  Clock& clock_;
  Files& files_;
  StateFiles& state_files_;
  const std::string region_;
  std::function<void(std::string_view)> say_;
  emulator::Ids ids_;

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace thaw::triggers
