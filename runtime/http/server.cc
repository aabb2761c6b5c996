#include "runtime/http/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/str.h"
#include "runtime/http/connection.h"
#include "runtime/http/framing.h"

namespace thaw::http {

std::string_view Request::path() const {
  const std::string_view all = target();
  return all.substr(0, all.find('?'));
}

std::string_view Request::query() const {
  const std::string_view all = target();
  const std::size_t at = all.find('?');
  return at == std::string_view::npos ? std::string_view() : all.substr(at + 1);
}

Result<std::string> Request::read_all() {
  std::string all;
  char part[16 << 10];
  for (;;) {
    THAW_TRY(got, read_some(part));
    if (got == 0) return all;
    all.append(part, got);
  }
}

struct Server::State {
  Shared shared;
  Socket listener;
  std::uint16_t port = 0;
  std::thread accepting;
  std::mutex stop_mutex;  // one stop() at a time
  bool stopped = false;   // guarded by stop_mutex

  std::mutex mutex;               // guards the two lists
  std::condition_variable ended;  // a thread moved to `finished`
  std::list<std::thread> serving;
  std::list<std::thread> finished;  // to be joined
  Event reap;                       // tells `accepting` of them

  void accept_all();
  void accept_one();
  void join_finished();
};

namespace {

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text,
              sizeof text);
  }
  return text;
}

}  // namespace

void Server::State::join_finished() {
  std::list<std::thread> done;
  {
    const std::lock_guard lock(mutex);
    done.swap(finished);
  }
  for (std::thread& thread : done) thread.join();
}

void Server::State::accept_one() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd = ::accept4(listener.fd(), reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    // Out of descriptors or memory: the client stays in the queue. Without a pause this would spin.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      (void)wait_for(shared.stopping.fd(), POLLIN,
                     system_clock().now() + std::chrono::milliseconds(50), -1);
    }
    return;
  }
  Socket socket(fd);
  const std::lock_guard lock(mutex);
  if (serving.size() >= shared.options.connections_max) {
    (void)socket.write_now(closing_answer(503));
    return;
  }
  const auto self = serving.emplace(serving.end());
  try {
    *self =
        std::thread([this, self, s = std::move(socket), peer = address_text(address)]() mutable {
          serve_connection(std::move(s), std::move(peer), shared);
          const std::lock_guard ending(mutex);
          finished.splice(finished.end(), serving, self);
          reap.signal();
          ended.notify_all();
        });
  } catch (const std::system_error&) {  // no more threads: the connection is closed
    serving.erase(self);
  }
}

void Server::State::accept_all() {
  while (!shared.is_stopping) {
    pollfd waiting[3] = {
        {listener.fd(), POLLIN, 0}, {shared.stopping.fd(), POLLIN, 0}, {reap.fd(), POLLIN, 0}};
    if (::poll(waiting, 3, -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    if (waiting[2].revents != 0) {
      reap.clear();
      join_finished();
    }
    if (waiting[0].revents != 0) accept_one();
  }
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Handler handler) {
  auto state = std::make_unique<State>();
  state->shared.options = options;
  state->shared.handler = std::move(handler);
  state->port = options.port;
  THAW_TRY(listener, listen_on(options.host, state->port));
  state->listener = std::move(listener);
  State* raw = state.get();
  try {
    state->accepting = std::thread([raw] { raw->accept_all(); });
  } catch (const std::system_error& error) {
    return fail(Code::kIo, cat("start a server: no thread could be had: ", error.what()));
  }
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::uint16_t Server::port() const { return state_->port; }

std::string Server::authority() const {
  const std::string& host = state_->shared.options.host;
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? cat("[", host, "]:", state_->port) : cat(host, ":", state_->port);
}

void Server::close_after_answers() { state_->shared.is_draining = true; }

void Server::stop(std::chrono::milliseconds grace) {
  State& s = *state_;
  const std::lock_guard stopping(s.stop_mutex);
  if (std::exchange(s.stopped, true)) return;
  s.shared.is_stopping = true;
  s.shared.stopping.signal();
  s.accepting.join();
  s.listener.close();
  {
    std::unique_lock lock(s.mutex);
    if (grace.count() > 0) s.ended.wait_for(lock, grace, [&] { return s.serving.empty(); });
    s.shared.cut.signal();
    s.ended.wait(lock, [&] { return s.serving.empty(); });
  }
  s.join_finished();
}

std::size_t Server::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->serving.size();
}

}  // namespace thaw::http
