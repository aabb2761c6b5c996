#include "runtime/emulator/event_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/str.h"

namespace thaw::emulator {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kFileMagic = 0x51574854;  // "THWQ" as bytes 54 48 57 51
constexpr std::uint32_t kFileVersion = 1;
constexpr std::uint32_t kRecordMagic = 0x43455251;  // "QREC" as bytes 51 52 45 43
constexpr std::size_t kHeaderBytes = 16;

enum Kind : std::uint32_t { kAccepted = 1, kAttempted = 2, kEnded = 3 };

struct RecordHead {
  std::uint32_t magic = kRecordMagic;
  std::uint32_t payload_bytes = 0;
  std::uint64_t sequence = 0;
  std::uint32_t kind = 0;
  std::uint32_t payload_crc32c = 0;
  std::uint32_t reserved = 0;
  std::uint32_t head_crc32c = 0;  // of the 28 bytes before
};
static_assert(sizeof(RecordHead) == 32);

struct Progress {
  std::uint64_t due_ms = 0;
  std::uint32_t attempts = 0;
  std::uint32_t reserved = 0;
};

std::uint64_t milliseconds(Clock::Wall time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

// A time of a file: anything, so that what would not fit a clock becomes the epoch.
Clock::Wall wall(std::uint64_t since_epoch_ms) {
  constexpr std::uint64_t kYear3000Ms = 32'503'680'000'000;
  if (since_epoch_ms > kYear3000Ms) return {};
  return Clock::Wall(std::chrono::milliseconds(since_epoch_ms));
}

std::string record_of(Kind kind, std::uint64_t sequence, std::string_view payload) {
  RecordHead head;
  head.payload_bytes = static_cast<std::uint32_t>(payload.size());
  head.sequence = sequence;
  head.kind = kind;
  head.payload_crc32c = crc32c(as_bytes(payload));
  std::string record(sizeof head, '\0');
  store(reinterpret_cast<std::byte*>(record.data()), head);
  head.head_crc32c = crc32c(as_bytes(record).first(offsetof(RecordHead, head_crc32c)));
  store(reinterpret_cast<std::byte*>(record.data()), head);
  record += payload;
  return record;
}

std::string accepted_record(const LiveEvent& live) {
  const AcceptedEvent& event = *live.event;
  const Json head = {
      {"function", event.function},         {"qualifier", event.qualifier},
      {"request", event.request_id},        {"trace", event.trace_id},
      {"context", event.client_context},    {"accepted_ms", milliseconds(event.accepted)},
      {"attempts", live.progress.attempts}, {"due_ms", milliseconds(live.progress.due)}};
  const std::string text = head.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string payload(sizeof(std::uint32_t), '\0');
  store(reinterpret_cast<std::byte*>(payload.data()), static_cast<std::uint32_t>(text.size()));
  payload += text;
  payload += event.event;
  return record_of(kAccepted, live.sequence, payload);
}

std::string header() {
  std::string text(kHeaderBytes, '\0');
  auto* to = reinterpret_cast<std::byte*>(text.data());
  store(to, kFileMagic);
  store(to + sizeof kFileMagic, kFileVersion);
  return text;
}

// A whole record at `offset`, if there is one.
std::optional<RecordHead> record_at(Bytes bytes, std::uint64_t offset) {
  const auto head = load_at<RecordHead>(bytes, offset);
  if (!head || head->magic != kRecordMagic) return std::nullopt;
  const Bytes start = bytes.subspan(offset, sizeof(RecordHead));
  if (head->head_crc32c != crc32c(start.first(offsetof(RecordHead, head_crc32c)))) {
    return std::nullopt;
  }
  if (head->payload_bytes > EventLog::kRecordBytesMax ||
      head->payload_bytes > bytes.size() - offset - sizeof(RecordHead)) {
    return std::nullopt;
  }
  const Bytes payload = bytes.subspan(offset + sizeof(RecordHead), head->payload_bytes);
  if (head->payload_crc32c != crc32c(payload)) return std::nullopt;
  return head;
}

// The accepted event of a payload. Nothing: it holds none, though its checksum is right.
std::optional<LiveEvent> event_of(std::uint64_t sequence, std::string_view payload) {
  const auto head_bytes = load_at<std::uint32_t>(as_bytes(payload), 0);
  if (!head_bytes || *head_bytes > payload.size() - sizeof(std::uint32_t)) return std::nullopt;
  payload.remove_prefix(sizeof(std::uint32_t));
  const Json head = Json::parse(payload.substr(0, *head_bytes), nullptr, false);
  if (!head.is_object()) return std::nullopt;
  const auto text = [&](const char* name) {
    const auto at = head.find(name);
    return at != head.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto number = [&](const char* name) {
    const auto at = head.find(name);
    return at != head.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : 0;
  };
  auto event = std::make_shared<AcceptedEvent>();
  event->function = text("function");
  event->qualifier = text("qualifier");
  event->request_id = text("request");
  event->trace_id = text("trace");
  event->client_context = text("context");
  event->accepted = wall(number("accepted_ms"));
  event->event = payload.substr(*head_bytes);
  const EventProgress progress{static_cast<std::uint32_t>(number("attempts")),
                               wall(number("due_ms"))};
  return LiveEvent{sequence, std::move(event), progress};
}

std::uint64_t cost_of(const LiveEvent& live) { return live.event->event.size() + 512; }

}  // namespace

Result<EventLog::Opened> EventLog::open(const std::string& directory, Files& files,
                                        StateFiles& state_files) {
  if (const auto made = state_files.make_directory(directory); !made) {
    return fail(made.error().code, cat("open the queue of events: ", made.error().message,
                                       "; name another directory with --state"));
  }
  auto lock = state_files.lock(directory + "/lock");
  if (!lock && lock.error().code == Code::kUnavailable) {
    return fail(Code::kUnavailable,
                cat("open the queue of events '", directory,
                    "': another emulator uses it; end that one, or give this one another --port or "
                    "--state"));
  }
  if (!lock) return lock.error();
  Opened opened;
  opened.log.reset(new EventLog(directory + "/events.log", files, state_files));
  opened.log->directory_lock_ = std::move(*lock);
  THAW_TRY_DO(opened.log->read(opened));
  for (const auto& [sequence, live] : opened.log->live_) opened.events.push_back(live);
  return opened;
}

Result<Done> EventLog::read(Opened& opened) {
  const auto there = files_.stat(path_);
  if (!there && there.error().code == Code::kNotFound) return rewrite();
  if (!there) return there.error();
  if (there->bytes > kFileBytesMax) {
    return fail(Code::kLimit, cat("read '", path_, "': ", there->bytes, " bytes, the limit is ",
                                  kFileBytesMax, "; move it away to begin anew"));
  }
  THAW_TRY(map, files_.map(path_));
  const Bytes bytes = map->bytes();
  const auto magic = load_at<std::uint32_t>(bytes, 0);
  const auto version = load_at<std::uint32_t>(bytes, sizeof kFileMagic);
  if (bytes.size() < kHeaderBytes || *magic != kFileMagic) {
    return fail(Code::kCorrupt,
                cat("read '", path_, "': not a queue of events; move it away to begin anew"));
  }
  if (*version != kFileVersion) {
    return fail(Code::kUnsupported,
                cat("read '", path_, "': version ", *version, ", this build reads ", kFileVersion,
                    "; move it away to begin anew"));
  }
  bool sound = true;
  std::uint64_t offset = kHeaderBytes;
  while (offset < bytes.size()) {
    std::uint64_t at = offset;
    auto head = record_at(bytes, at);
    while (!head && ++at < bytes.size()) head = record_at(bytes, at);
    if (at != offset) {
      sound = false;
      opened.notes.push_back(
          head ? cat("queue of events '", path_, "': ", at - offset, " damaged bytes at ", offset,
                     " skipped")
               : cat("queue of events '", path_, "': the last ", at - offset,
                     " bytes are cut short and dropped; nobody was told that they are accepted"));
    }
    if (!head) break;
    const Bytes payload = bytes.subspan(at + sizeof(RecordHead), head->payload_bytes);
    apply(head->kind, head->sequence, as_text(payload));
    next_sequence_ = std::max(next_sequence_, head->sequence + 1);
    offset = at + sizeof(RecordHead) + head->payload_bytes;
  }
  if (!sound) return rewrite();
  THAW_TRY(file, state_files_.append_to(path_));
  file_ = std::move(file);
  durable_bytes_ = file_->size();
  return Done{};
}

void EventLog::apply(std::uint32_t kind, std::uint64_t sequence, std::string_view payload) {
  if (kind == kEnded) return forget(sequence);
  if (kind == kAccepted) {
    auto live = event_of(sequence, payload);
    if (!live) return;
    forget(sequence);
    live_bytes_ += cost_of(*live);
    live_.emplace(sequence, std::move(*live));
    return;
  }
  const auto at = live_.find(sequence);
  const auto progress = load_at<Progress>(as_bytes(payload), 0);
  if (kind != kAttempted || !progress || at == live_.end()) return;
  at->second.progress = {progress->attempts, wall(progress->due_ms)};
}

void EventLog::forget(std::uint64_t sequence) {
  const auto at = live_.find(sequence);
  if (at == live_.end()) return;
  live_bytes_ -= cost_of(at->second);
  live_.erase(at);
}

std::size_t EventLog::size() const {
  const std::lock_guard lock(mutex_);
  return live_.size();
}

std::uint64_t EventLog::file_bytes() const {
  const std::lock_guard lock(mutex_);
  return file_ ? file_->size() : 0;
}

// Everything that lives, into a new file in the old one's place. Under the lock, nobody syncing.
Result<Done> EventLog::rewrite() {
  damaged_ = true;  // until all of it has succeeded
  THAW_TRY(file, files_.create(path_));
  THAW_TRY_DO(file->append(as_bytes(header())));
  for (const auto& [sequence, live] : live_) {
    THAW_TRY_DO(file->append(as_bytes(accepted_record(live))));
  }
  THAW_TRY_DO(file->commit());
  file_.reset();
  THAW_TRY(log, state_files_.append_to(path_));
  file_ = std::move(log);
  durable_bytes_ = file_->size();
  damaged_ = false;
  return Done{};
}

void EventLog::wait_for_sync(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return !syncing_; });
}

Result<Done> EventLog::repair(std::unique_lock<std::mutex>& lock) {
  wait_for_sync(lock);
  if (!damaged_) return Done{};
  const Result<Done> done = rewrite();
  // Whoever waits for a sync is in the new file, which was synced.
  if (done) answer_pending(next_sequence_, Done{});
  return done;
}

// A record whole or not at all. Under the lock, the file not damaged.
Result<Done> EventLog::append(const std::string& record) {
  const std::uint64_t before = file_->size();
  const Result<Done> appended = file_->append(as_bytes(record));
  if (!appended && !file_->truncate(before)) damaged_ = true;
  return appended;
}

void EventLog::answer_pending(std::uint64_t through, const Result<Done>& answer) {
  for (Pending* pending : pending_) {
    if (pending->sequence > through) continue;
    pending->answered = true;
    pending->answer = answer;
    if (!answer) forget(pending->sequence);
  }
  std::erase_if(pending_, [](const Pending* pending) { return pending->answered; });
  changed_.notify_all();
}

// One thread syncs for all that wait; the file may grow meanwhile, but is not replaced.
void EventLog::sync(std::unique_lock<std::mutex>& lock) {
  syncing_ = true;
  const std::uint64_t through = pending_.back()->sequence;
  AppendFile& file = *file_;
  const std::uint64_t bytes = file.size();
  lock.unlock();
  const Result<Done> synced = file.sync();
  lock.lock();
  syncing_ = false;
  if (synced) {
    durable_bytes_ = bytes;
    return answer_pending(through, Done{});
  }
  // What a failed sync has written nobody knows: those who wait are refused, and a new file without
  // them takes this one's place, now or as soon as the disk allows it.
  answer_pending(next_sequence_, synced.error());
  if (!rewrite() && file_) (void)file_->truncate(durable_bytes_);
}

Result<LiveEvent> EventLog::accept(AcceptedEvent event) {
  LiveEvent live;
  live.progress.due = event.accepted;
  live.event = std::make_shared<const AcceptedEvent>(std::move(event));
  std::unique_lock lock(mutex_);
  if (live_.size() >= kEventsMax || live_bytes_ + cost_of(live) > kLiveBytesMax) {
    return fail(Code::kLimit, cat("accept an event: ", live_.size(), " events of ", live_bytes_,
                                  " bytes wait, the limits are ", kEventsMax, " and ",
                                  kLiveBytesMax, "; try again later"));
  }
  if (damaged_) THAW_TRY_DO(repair(lock));
  Pending pending{next_sequence_++};
  live.sequence = pending.sequence;
  const std::string record = accepted_record(live);
  if (record.size() > kRecordBytesMax) {
    return fail(Code::kLimit, cat("accept an event: ", record.size(),
                                  " bytes with its head, the "
                                  "limit is ",
                                  kRecordBytesMax));
  }
  THAW_TRY_DO(append(record));
  live_bytes_ += cost_of(live);
  live_.emplace(live.sequence, live);
  pending_.push_back(&pending);
  while (!pending.answered) {
    if (syncing_) {
      changed_.wait(lock);
    } else {
      sync(lock);
    }
  }
  if (!pending.answer) return pending.answer.error();
  return live;
}

Result<Done> EventLog::note_attempt(std::uint64_t sequence, const EventProgress& progress) {
  std::unique_lock lock(mutex_);
  const auto at = live_.find(sequence);
  if (at == live_.end()) return Done{};
  at->second.progress = progress;
  if (damaged_) return repair(lock);
  const Progress plain{milliseconds(progress.due), progress.attempts, 0};
  std::string payload(sizeof plain, '\0');
  store(reinterpret_cast<std::byte*>(payload.data()), plain);
  const Result<Done> appended = append(record_of(kAttempted, sequence, payload));
  if (!appended) damaged_ = true;  // what the file does not say is written with the next rewrite
  return appended;
}

Result<Done> EventLog::note_end(std::uint64_t sequence) {
  std::unique_lock lock(mutex_);
  forget(sequence);
  if (damaged_) return repair(lock);
  const Result<Done> appended = append(record_of(kEnded, sequence, ""));
  if (!appended) damaged_ = true;
  const std::uint64_t bytes = file_->size();
  if (bytes < kRewriteBytesMin || bytes < 2 * live_bytes_ || !appended) return appended;
  wait_for_sync(lock);
  if (damaged_) return repair(lock);
  THAW_TRY_DO(rewrite());
  answer_pending(next_sequence_, Done{});
  return Done{};
}

}  // namespace thaw::emulator
