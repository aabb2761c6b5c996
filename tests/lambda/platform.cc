#include "tests/lambda/platform.h"

#include <array>
#include <utility>

#include "base/str.h"

namespace thaw::lambda {
namespace {

using namespace std::chrono_literals;

constexpr auto kSlice = 20ms;  // how late it is noticed that a program under test has gone
constexpr std::string_view kInvocation = "/2018-06-01/runtime/invocation/";

void say(http::ResponseWriter& writer, int status, std::string_view body) {
  (void)writer.send(status, {{"Content-Type", "application/json"}}, body);
}

}  // namespace

Platform::Platform(const Options& options) : options_(options) {
  http::ServerOptions server;
  server.read_time_max = server.idle_time_max = 15min;
  auto started = http::Server::start(
      server,
      [this](http::Request& request, http::ResponseWriter& writer) { serve(request, writer); });
  server_ = started ? *std::move(started) : nullptr;
}

Platform::~Platform() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  server_.reset();
}

void Platform::give(const std::string& id, const std::string& event) {
  const std::lock_guard lock(mutex_);
  events_.emplace_back(id, event);
  changed_.notify_all();
}

std::optional<Platform::Answer> Platform::answer(const std::string& id,
                                                 std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [&] { return answers_.contains(id); })) {
    return std::nullopt;
  }
  auto taken = answers_.extract(id);
  return std::move(taken.mapped());
}

std::optional<Platform::Answer> Platform::invoke(const std::string& id, const std::string& event) {
  give(id, event);
  return answer(id);
}

bool Platform::wait_for_loops(std::size_t count, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return waiting_ >= count; });
}

bool Platform::wait_for_begin(const std::string& id) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 30s, [&] { return begun_.contains(id); });
}

void Platform::restore() {
  const std::lock_guard lock(mutex_);
  restored_ = true;
  changed_.notify_all();
}

bool Platform::registered() const {
  const std::lock_guard lock(mutex_);
  return registered_;
}

bool Platform::asked_for_restore() const {
  const std::lock_guard lock(mutex_);
  return asked_for_restore_;
}

std::optional<std::string> Platform::init_error() const {
  const std::lock_guard lock(mutex_);
  return init_error_;
}

std::optional<std::string> Platform::restore_error() const {
  const std::lock_guard lock(mutex_);
  return restore_error_;
}

void Platform::serve(http::Request& request, http::ResponseWriter& writer) {
  const std::string path(request.path());
  if (path == cat(kInvocation, "next")) return next(writer);
  if (path.starts_with(kInvocation)) return take(request, writer);
  if (path == "/2020-01-01/extension/register" && options_.extensions) {
    (void)request.read_all();
    const std::lock_guard lock(mutex_);
    registered_ = true;
    (void)writer.send(200, {{"Lambda-Extension-Identifier", "1"}}, "{}");
    return;
  }
  if (path == "/2020-01-01/extension/event/next") return wait_until_stopped(writer, stopping_);
  if (path == "/2018-06-01/runtime/restore/next" && options_.restores) {
    {
      const std::lock_guard lock(mutex_);
      asked_for_restore_ = true;
      changed_.notify_all();
    }
    return wait_until_stopped(writer, restored_);
  }
  if (path.ends_with("/init/error") || path.ends_with("/restore/error")) {
    auto body = request.read_all();
    const std::lock_guard lock(mutex_);
    (path.ends_with("/init/error") ? init_error_ : restore_error_) = body ? *body : "";
    return say(writer, 202, "{}");
  }
  say(writer, 404, "{}");
}

void Platform::wait_until_stopped(http::ResponseWriter& writer, const bool& ready) {
  std::unique_lock lock(mutex_);
  while (!ready && !stopping_ && !writer.cancelled()) changed_.wait_for(lock, kSlice);
  if (!ready || stopping_) return writer.abort();
  say(writer, 200, "{}");
}

void Platform::next(http::ResponseWriter& writer) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.notify_all();
  while (events_.empty() && !stopping_ && !writer.cancelled()) changed_.wait_for(lock, kSlice);
  --waiting_;
  if (events_.empty() || stopping_) return writer.abort();
  const auto [id, event] = std::move(events_.front());
  events_.pop_front();
  loops_at_[id] = ++out_;
  lock.unlock();
  const auto deadline = std::chrono::duration_cast<std::chrono::milliseconds>(
      (std::chrono::system_clock::now() + options_.time).time_since_epoch());
  (void)writer.send(200,
                    {{"Lambda-Runtime-Aws-Request-Id", id},
                     {"Lambda-Runtime-Deadline-Ms", cat(deadline.count())}},
                    event);
}

void Platform::take(http::Request& request, http::ResponseWriter& writer) {
  std::string_view path = request.path();
  path.remove_prefix(kInvocation.size());
  const std::size_t slash = path.find('/');
  const std::string id(path.substr(0, slash));
  Answer answer;
  answer.error = path.ends_with("/error");
  answer.headers = request.headers();
  answer.streamed = !request.content_length().has_value();
  request.set_body_limits(210u << 20, 15min);
  std::array<char, 16 << 10> part;
  for (;;) {
    const auto got = request.read_some(part);
    if (!got) return;  // broken off: as if nothing had come
    const std::lock_guard lock(mutex_);
    begun_[id] += static_cast<int>(*got);
    changed_.notify_all();
    if (*got == 0) break;
    answer.body.append(part.data(), *got);
  }
  answer.trailers = request.trailers();
  {
    const std::lock_guard lock(mutex_);
    answer.loop = loops_at_[id];
    loops_at_.erase(id);
    begun_.erase(id);
    --out_;
    answers_[id] = std::move(answer);
  }
  changed_.notify_all();
  say(writer, 202, R"({"status":"OK"})");
}

}  // namespace thaw::lambda
