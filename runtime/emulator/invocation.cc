#include "runtime/emulator/invocation.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/str.h"

namespace thaw::emulator {

Failure platform_failure(std::string_view type, std::string_view request_id,
                         std::string_view message) {
  nlohmann::ordered_json document;
  document["errorType"] = type;
  const std::string line = cat("RequestId: ", request_id, " Error: ", message);
  document["errorMessage"] = line;
  return {std::string(type),
          document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), line};
}

bool AnswerPipe::begin(AnswerHead head) {
  const std::lock_guard lock(mutex_);
  if (abandoned_ || ended_) return false;
  head_ = std::move(head);
  changed_.notify_all();
  return true;
}

bool AnswerPipe::push(std::string_view part) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return abandoned_ || ended_ || waiting_bytes_ < kWaitingBytesMax; });
  if (abandoned_ || ended_) return false;
  if (part.empty()) return true;
  parts_.emplace_back(part);
  waiting_bytes_ += part.size();
  changed_.notify_all();
  return true;
}

bool AnswerPipe::end(std::optional<Failure> failure) {
  const std::lock_guard lock(mutex_);
  if (abandoned_ || ended_) return false;
  ended_ = true;
  ended_at_ = std::chrono::steady_clock::now();
  failure_ = std::move(failure);
  changed_.notify_all();
  return true;
}

bool AnswerPipe::wait_begin(Clock::Monotonic until) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, until, [&] { return head_ || ended_; });
}

std::optional<AnswerHead> AnswerPipe::head() const {
  const std::lock_guard lock(mutex_);
  return head_;
}

std::optional<std::string> AnswerPipe::next(Clock::Monotonic until) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, until, [&] { return !parts_.empty() || ended_; })) {
    return std::nullopt;
  }
  if (parts_.empty()) return std::string();
  std::string part = std::move(parts_.front());
  parts_.pop_front();
  waiting_bytes_ -= part.size();
  changed_.notify_all();
  return part;
}

std::optional<Failure> AnswerPipe::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::optional<Clock::Monotonic> AnswerPipe::ended_at() const {
  const std::lock_guard lock(mutex_);
  return ended_ ? std::optional(ended_at_) : std::nullopt;
}

void AnswerPipe::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  changed_.notify_all();
}

}  // namespace thaw::emulator
