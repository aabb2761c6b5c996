// Asynchronous events on disk, from "accepted" to "ended": what accept() has answered for is there
// after the end of the process, however it comes.
//
// The file is a header of 16 bytes (magic, version, zeros) and records, little-endian: 32 bytes of
// magic, length, sequence u64, kind, CRC-32C of the payload, zero, CRC-32C of the 28 bytes before;
// then the payload. A record that is damaged is skipped to the next whole one; what is cut short at
// the end is dropped; both are told. It is rewritten (aside, then renamed) when most of it has
// ended.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "base/state_files.h"

namespace thaw::emulator {

// An event that was promised to run. Immutable once accepted.
struct AcceptedEvent {
  std::string function, qualifier;
  std::string request_id, trace_id;
  std::string client_context;  // JSON, or empty
  std::string event;
  Clock::Wall accepted{};
};

struct EventProgress {
  std::uint32_t attempts = 0;  // that the function failed
  Clock::Wall due{};           // when the next one may begin
};

struct LiveEvent {
  std::uint64_t sequence = 0;
  std::shared_ptr<const AcceptedEvent> event;  // shared by the log and whoever runs it
  EventProgress progress;
};

// Thread-safe.
class EventLog {
 public:
  static constexpr std::size_t kEventsMax = 10'000;            // that have not ended
  static constexpr std::uint64_t kLiveBytesMax = 256u << 20;   // of these: they are in memory
  static constexpr std::uint64_t kRecordBytesMax = 2u << 20;   // an event of 1 MB and its head
  static constexpr std::uint64_t kFileBytesMax = 2ull << 30;   // of what is read at a start
  static constexpr std::uint64_t kRewriteBytesMin = 1u << 20;  // a smaller file is left as it is

  struct Opened {
    std::unique_ptr<EventLog> log;
    std::vector<LiveEvent> events;   // in the order of their acceptance
    std::vector<std::string> notes;  // what was dropped or skipped, a line each
  };
  // Makes `directory`, locks it, reads what is there. `files` and `state_files` outlive it.
  // Errors: kUnavailable  another process uses the directory
  //         kUnsupported  a file of another version
  //         kCorrupt      a file that is no event log
  //         kLimit        a file larger than kFileBytesMax
  //         kIo, kNotFound
  static Result<Opened> open(const std::string& directory, Files& files, StateFiles& state_files);

  // Returns when the event is on disk; calls at the same time share a sync.
  // Errors: kLimit (kEventsMax, kLiveBytesMax, kRecordBytesMax), kIo; then the event is not
  // accepted, and nothing of it stays. (On a disk that refuses the sync, a new file and to cut the
  // old one as well, what it was refused for may run after a crash.)
  Result<LiveEvent> accept(AcceptedEvent event);

  // What became of an event. Not waited for: after a crash it may run once more.
  // Errors: kIo; it is remembered, and written when the disk allows it.
  Result<Done> note_attempt(std::uint64_t sequence, const EventProgress& progress);
  Result<Done> note_end(std::uint64_t sequence);

  std::size_t size() const;  // events that have not ended
  std::uint64_t file_bytes() const;

 private:
  struct Pending {
    std::uint64_t sequence;
    bool answered = false;
    Result<Done> answer = Done{};
  };

  EventLog(std::string path, Files& files, StateFiles& state_files)
      : path_(std::move(path)), files_(files), state_files_(state_files) {}
  Result<Done> read(Opened& opened);
  void apply(std::uint32_t kind, std::uint64_t sequence, std::string_view payload);
  Result<Done> append(const std::string& record);
  Result<Done> rewrite();
  Result<Done> repair(std::unique_lock<std::mutex>& lock);
  void wait_for_sync(std::unique_lock<std::mutex>& lock);
  void sync(std::unique_lock<std::mutex>& lock);
  void answer_pending(std::uint64_t through, const Result<Done>& answer);
  void forget(std::uint64_t sequence);

  const std::string path_;
  Files& files_;
  StateFiles& state_files_;
  std::unique_ptr<FileLock> directory_lock_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::unique_ptr<AppendFile> file_;
  std::map<std::uint64_t, LiveEvent> live_;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::vector<Pending*> pending_;  // appended, waiting for a sync; in order
  bool syncing_ = false;
  std::uint64_t durable_bytes_ = 0;  // of the file, known to be on disk
  bool damaged_ = false;  // the file says something else than live_; it is rewritten before more
};

}  // namespace thaw::emulator
