#include "runtime/triggers/triggers.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/str.h"

namespace thaw::triggers {
namespace {

using namespace std::chrono_literals;

constexpr auto kPollTime = 100ms;
constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::uint64_t kHashedBytesMax = 64u << 20;  // of files whose eTag is told

}  // namespace

// The messages of one queue, and where the next ones come from. One thread at a time.
class Triggers::Queue {
 public:
  Queue(Triggers& owner, QueueSource source) : owner_(owner), source_(std::move(source)) {}

  void run() {
    while (!owner_.stopping()) {
      const bool read = read_more();
      const bool worked = work();
      if (!read && !worked && !owner_.wait(source_.path == "-" ? 1ms : kPollTime)) return;
    }
  }

 private:
  struct Held {
    Message message;
    Clock::Monotonic visible{};
  };

  // Takes lines as long as there is room. False: there was nothing.
  bool read_more() {
    if (held_.size() >= kMessagesMax || ended_) return false;
    std::string bytes = source_.path == "-" ? from_stdin() : from_file();
    if (bytes.empty()) return false;
    line_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end; (end = line_.find('\n', begin)) != line_.npos; begin = end + 1) {
      take(line_.substr(begin, end - begin));
    }
    line_.erase(0, begin);
    if (skipping_) {
      line_.clear();
    } else if (line_.size() > kMessageBytesMax) {
      say_too_long();
      line_.clear();
      skipping_ = true;
    }
    return true;
  }

  void say_too_long() const {
    owner_.say_(cat("queue '", source_.name, "': a line of more than ", kMessageBytesMax,
                    " bytes is skipped"));
  }

  void take(std::string text) {
    if (std::exchange(skipping_, false)) return;  // the rest of a line that was too long
    if (text.size() > kMessageBytesMax) return say_too_long();
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) return;
    const Clock::Wall now = owner_.clock_.wall_now();
    held_.push_back({{owner_.ids_.request_id(), std::move(text), 0, now, {}}, owner_.clock_.now()});
  }

  std::string from_file() {
    const auto file = owner_.files_.open(source_.path);
    if (!file) {
      if (file.error().code != Code::kNotFound) owner_.say_(file.error().message);
      return {};
    }
    const std::uint64_t size = (*file)->size();
    if (size < offset_) offset_ = 0;  // begun anew
    std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, size - offset_)),
                      '\0');
    if (bytes.empty()) return {};
    if (!(*file)->read_at(offset_, std::as_writable_bytes(std::span(bytes)))) return {};
    offset_ += bytes.size();
    return bytes;
  }

  std::string from_stdin() {
    pollfd wanted{STDIN_FILENO, POLLIN, 0};
    if (::poll(&wanted, 1, static_cast<int>(std::chrono::milliseconds(kPollTime).count())) <= 0) {
      return {};
    }
    std::string bytes(64 << 10, '\0');
    const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    ended_ = got <= 0;
    bytes.resize(got <= 0 ? 0 : static_cast<std::size_t>(got));
    if (ended_ && !line_.empty()) take(std::exchange(line_, {}));
    return bytes;
  }

  // Invokes with a batch, if there is one. False: there is none.
  bool work() {
    const Clock::Monotonic now = owner_.clock_.now();
    std::vector<std::size_t> picked;
    for (std::size_t i = 0; i < held_.size() && picked.size() < source_.batch_size; ++i) {
      if (held_[i].visible <= now) picked.push_back(i);
    }
    if (picked.empty()) return false;
    const bool full = picked.size() == source_.batch_size;
    if (!full && !ended_ && now < held_[picked[0]].visible + source_.window) return false;
    std::vector<Message> batch;
    for (const std::size_t i : picked) {
      Message& message = held_[i].message;
      if (message.receives++ == 0) message.first_received = owner_.clock_.wall_now();
      batch.push_back(message);
    }
    const auto answer =
        owner_.functions_.invoke(source_.function, sqs_event(source_.name, owner_.region_, batch));
    if (owner_.stopping() && !answer.succeeded) return true;  // killed by the stop: not its fault
    std::set<std::string> failed;
    std::optional<std::set<std::string>> told = std::set<std::string>();
    if (answer.succeeded && source_.partial_failures) told = failed_messages(answer.body, batch);
    if (answer.succeeded && !told) {
      owner_.say_(cat("queue '", source_.name,
                      "': the answer is no list of batchItemFailures of this batch; all of it "
                      "counts as failed"));
    }
    if (answer.succeeded && told) {
      failed = std::move(*told);
    } else {
      for (const Message& message : batch) failed.insert(message.id);
    }
    settle(batch, failed);
    return true;
  }

  void settle(const std::vector<Message>& batch, const std::set<std::string>& failed) {
    for (const Message& message : batch) {
      const auto at = std::find_if(held_.begin(), held_.end(),
                                   [&](const Held& held) { return held.message.id == message.id; });
      if (!failed.contains(message.id)) {
        held_.erase(at);
      } else if (message.receives < kReceivesMax || !bury(message)) {
        at->visible = owner_.clock_.now() + source_.visibility;
      } else {
        held_.erase(at);
      }
    }
  }

  // False: it could not be written, and stays.
  bool bury(const Message& message) {
    const nlohmann::ordered_json line = {{"messageId", message.id}, {"body", message.body}};
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    const std::string directory = source_.dead_letters.substr(0, source_.dead_letters.rfind('/'));
    (void)owner_.state_files_.make_directory(directory);
    const auto file = owner_.state_files_.append_to(source_.dead_letters);
    const bool written = file && (*file)->append(as_bytes(text));
    owner_.say_(cat("queue '", source_.name, "': message ", message.id, " failed ", kReceivesMax,
                    written ? " times and is put into '" : " times and cannot be put into '",
                    source_.dead_letters, "'"));
    return written;
  }

  Triggers& owner_;
  const QueueSource source_;
  std::deque<Held> held_;
  std::string line_;  // begun, not ended
  std::uint64_t offset_ = 0;
  bool skipping_ = false;
  bool ended_ = false;  // stdin
};

Triggers::Triggers(Functions functions, Clock& clock, Files& files, StateFiles& state_files,
                   std::string region, std::function<void(std::string_view)> log)
    : functions_(std::move(functions)),
      clock_(clock),
      files_(files),
      state_files_(state_files),
      region_(std::move(region)),
      say_(std::move(log)),
      ids_((std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()) {}

Triggers::~Triggers() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

void Triggers::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

bool Triggers::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

bool Triggers::wait(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopping_; });
}

void Triggers::add(QueueSource source) {
  threads_.emplace_back([this, source = std::move(source)] { Queue(*this, source).run(); });
}

void Triggers::add(BucketSource source) {
  threads_.emplace_back([this, source = std::move(source)] { watch(source); });
}

void Triggers::add(ScheduleSource source) {
  threads_.emplace_back([this, source = std::move(source)] { keep_time(source); });
}

void Triggers::keep_time(const ScheduleSource& source) {
  auto due = source.schedule.next(clock_.wall_now());
  while (due) {
    // In steps: a clock that is set, or a laptop that sleeps, is noticed within seconds.
    const Clock::Wall now = clock_.wall_now();
    if (now < *due) {
      if (!wait(std::min<std::chrono::nanoseconds>(*due - now, 5s))) return;
      continue;
    }
    std::string event = source.input;
    if (event.empty()) event = schedule_event(source.name, region_, *due, ids_.request_id());
    const auto accepted = functions_.accept(source.function, std::move(event));
    if (!accepted) say_(cat("schedule '", source.name, "': ", accepted.error().message));
    due = source.schedule.next(std::max(*due, now - 1min));
  }
  say_(cat("schedule '", source.name, "' has no more times"));
}

// False: more than kFilesMax files, or a folder that cannot be read.
bool Triggers::list(const std::string& directory, const std::string& prefix, int depth,
                    std::map<std::string, std::uint64_t>& found) const {
  const auto entries = files_.list(directory);
  if (!entries) return false;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name.starts_with('.')) continue;  // editors' and downloads' own
    if (entry.is_directory) {
      if (depth < kFolderDepthMax &&
          !list(cat(directory, "/", entry.name), cat(prefix, entry.name, "/"), depth + 1, found)) {
        return false;
      }
      continue;
    }
    if (found.size() >= kFilesMax) return false;
    found[prefix + entry.name] = entry.bytes;
  }
  return true;
}

void Triggers::watch(const BucketSource& source) {
  std::map<std::string, std::uint64_t> told, before;
  bool sound = list(source.directory, "", 0, told);
  before = told;
  std::uint64_t sequence = 0;
  while (wait(kPollTime)) {
    std::map<std::string, std::uint64_t> now;
    const bool listed = list(source.directory, "", 0, now);
    if (!listed && sound) {
      say_(cat("folder '", source.directory, "': not there, or more than ", kFilesMax,
               " files; nothing is told until that is mended"));
    }
    sound = listed;
    if (!listed) continue;
    for (const auto& [key, bytes] : now) {
      const auto same = before.find(key);
      const bool still = same != before.end() && same->second == bytes;
      const auto known = told.find(key);
      if (!still || (known != told.end() && known->second == bytes)) continue;
      Object object{key, bytes, ""};
      const auto text = read_text(files_, cat(source.directory, "/", key), kHashedBytesMax);
      if (text) object.etag = md5(*text);
      const auto accepted = functions_.accept(
          source.function, s3_event(source.name, region_, object, clock_.wall_now(), ++sequence));
      if (!accepted) {  // it is tried again with the next look
        say_(cat("folder '", source.directory, "': ", accepted.error().message));
        continue;
      }
      told[key] = bytes;
    }
    std::erase_if(told, [&](const auto& entry) { return !now.contains(entry.first); });
    before = std::move(now);
  }
}

}  // namespace thaw::triggers
