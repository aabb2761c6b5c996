#include "runtime/cli/emulate_session.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "base/str.h"
#include "runtime/cli/emulate_report.h"
#include "runtime/cli/emulate_view.h"
#include "runtime/emulator/emulator.h"
#include "runtime/emulator/fleet.h"

namespace thaw::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kFrame = 200ms;             // between two looks of the live view
constexpr std::size_t kLogLinesMax = 400;  // kept for it, as many as a screen may have
constexpr std::size_t kRecentShown = 100;

// Where lines go; many threads write. Thread-safe.
class Output {
 public:
  Output(const Context& context, bool json) : context_(context), json_(json) {}

  void log(std::string_view line) {
    const std::lock_guard lock(mutex_);
    if (viewed_) {
      kept_.emplace_back(line.substr(0, 1000));
      if (kept_.size() > kLogLinesMax) kept_.pop_front();
    } else if (json_) {
      std::fprintf(context_.out, "%s\n", log_json(context_.clock.wall_now(), line).c_str());
      std::fflush(context_.out);
    } else {
      std::fprintf(context_.err, "%.*s\n", static_cast<int>(line.size()), line.data());
    }
  }
  void record(const emulator::LedgerEntry& entry) {
    if (json_) {
      const std::lock_guard lock(mutex_);
      std::fprintf(context_.out, "%s\n", record_json(entry).c_str());
      std::fflush(context_.out);
      return;
    }
    // What never began has no REPORT.
    if (entry.ran()) return;
    log(cat("[", entry.function, "] ", name_of(entry.ending), " RequestId: ", entry.request_id));
  }
  void set_viewed(bool viewed) {
    const std::lock_guard lock(mutex_);
    viewed_ = viewed;
  }
  std::vector<std::string> kept() {
    const std::lock_guard lock(mutex_);
    return {kept_.begin(), kept_.end()};
  }

 private:
  const Context& context_;
  const bool json_;
  std::mutex mutex_;  // guards all below, and the streams
  bool viewed_ = false;
  std::deque<std::string> kept_;
};

void print_banner(const emulator::Emulator& emulator, const emulator::Options& options,
                  std::FILE* err) {
  const std::string at = emulator.authority();
  const std::string& name = options.functions.front().name;
  std::fprintf(err, "emulating %zu function%s on http://%s; Ctrl-C ends it\n",
               options.functions.size(), options.functions.size() == 1 ? "" : "s", at.c_str());
  for (const emulator::FunctionOptions& function : options.functions) {
    std::fprintf(err, "  %-24s function URL http://%s/url/%s/\n", function.name.c_str(), at.c_str(),
                 function.name.c_str());
  }
  std::fprintf(err,
               "behind API Gateway, a load balancer, Function Compute: /http/NAME/ "
               "/rest/NAME/Prod/ /alb/NAME/ /fc/NAME/\n");
  std::fprintf(err,
               "try\n  curl http://%s/2015-03-31/functions/%s/invocations -d '{\"prompt\":"
               "\"Hello\"}'\n  curl -N http://%s/url/%s/v1/chat/completions -H 'content-type: "
               "application/json' \\\n    -d '{\"stream\":true,\"messages\":[{\"role\":\"user\","
               "\"content\":\"Hello\"}]}'\n",
               at.c_str(), name.c_str(), at.c_str(), name.c_str());
}

// The live view, until a signal or a key ends it.
class Viewer {
 public:
  Viewer(emulator::Emulator& emulator, Output& output, const Context& context, int signals)
      : emulator_(emulator),
        output_(output),
        context_(context),
        signals_(signals),
        begun_(context.clock.now()) {}

  // False: this is no terminal.
  bool run() {
    const int out = ::fileno(context_.err);
    screen_ = Screen::open(STDIN_FILENO, out);
    if (!screen_) return false;
    output_.set_viewed(true);
    while (!ending_) {
      show(out);
      std::array<pollfd, 2> waits{{{signals_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
      ::poll(waits.data(), waits.size(), static_cast<int>(kFrame / 1ms));
      if ((waits[0].revents & POLLIN) != 0) take_signal(out);
      if ((waits[1].revents & (POLLHUP | POLLERR)) != 0) ending_ = true;
      for (const Key key : keys_in(screen_ ? screen_->typed() : std::string())) take_key(key);
    }
    screen_.reset();
    output_.set_viewed(false);
    return true;
  }

 private:
  void show(int) {
    View view;
    view.at = cat("http://", emulator_.authority());
    view.up = std::chrono::duration_cast<std::chrono::seconds>(context_.clock.now() - begun_);
    view.functions = emulator_.fleet().overview();
    view.totals = emulator_.ledger().totals();
    view.recent = emulator_.ledger().recent(kRecentShown);
    view.log = output_.kept();
    selected_ = std::min(selected_, view.functions.size() - 1);
    view.selected = selected_;
    name_ = view.functions[selected_].name;
    screen_->show(view);
  }

  void take_signal(int out) {
    signalfd_siginfo what{};
    if (::read(signals_, &what, sizeof what) != sizeof what) return;
    if (what.ssi_signo == SIGWINCH) return;  // the next look has the new size
    if (what.ssi_signo != SIGTSTP) {
      ending_ = true;
      return;
    }
    screen_.reset();
    ::raise(SIGSTOP);  // here until SIGCONT
    screen_ = Screen::open(STDIN_FILENO, out);
    if (!screen_) ending_ = true;
  }

  void take_key(Key key) {
    switch (key) {
      case Key::kUp: selected_ -= selected_ > 0 ? 1 : 0; break;
      case Key::kDown: ++selected_; break;
      case Key::kCold: emulator_.fleet().renew(name_); break;
      case Key::kHold: emulator_.fleet().hold(name_); break;
      case Key::kKill: emulator_.fleet().kill(name_); break;
      case Key::kQuit: ending_ = true; break;
    }
  }

  emulator::Emulator& emulator_;
  Output& output_;
  const Context& context_;
  const int signals_;
  const Clock::Monotonic begun_;
  std::unique_ptr<Screen> screen_;
  std::size_t selected_ = 0;
  std::string name_;  // of the selected function
  bool ending_ = false;
};

}  // namespace

Result<Done> run_once(emulator::Options options, const std::string& event_path,
                      const Context& context) {
  ::signal(SIGPIPE, SIG_IGN);
  Output output(context, false);
  const std::string function = options.functions.front().name;
  const auto log = [&](std::string_view line) { output.log(line); };
  THAW_TRY(emulator, emulator::Emulator::start(options, context.clock, log, context.files));
  const Result<Done> done = invoke_once(*emulator, function, event_path, context);
  emulator->stop();
  return done;
}

Result<Done> run_session(emulator::Options options, const EmulateSources& sources,
                         const SessionOptions& session, const Context& context) {
  const bool viewed = context.shows_progress && !session.plain && !session.json;
  sigset_t told;
  sigemptyset(&told);
  for (const int name : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&told, name);
  if (viewed) {
    for (const int name : {SIGWINCH, SIGTSTP}) sigaddset(&told, name);
  }
  // Blocked before any thread starts, so that only the reads below get them.
  pthread_sigmask(SIG_BLOCK, &told, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a peer that closes is an error of the write

  Output output(context, session.json);
  options.recorded = [&](const emulator::LedgerEntry& entry) { output.record(entry); };
  const auto log = [&](std::string_view line) { output.log(line); };
  THAW_TRY(emulator, emulator::Emulator::start(options, context.clock, log, context.files));
  print_banner(*emulator, options, context.err);
  auto triggers = start_triggers(sources, *emulator, options.region, context, log);
  const int signals = viewed ? ::signalfd(-1, &told, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
  const bool shown = signals >= 0 && Viewer(*emulator, output, context, signals).run();
  if (signals >= 0) ::close(signals);
  if (!shown) {
    int name = SIGWINCH;
    while (name == SIGWINCH || name == SIGTSTP) {
      sigwait(&told, &name);
      if (name == SIGTSTP) ::raise(SIGSTOP);
    }
  }
  triggers->stop();
  emulator->stop();
  triggers.reset();
  const auto totals = emulator->ledger().totals();
  if (session.json) {
    std::fprintf(context.out, "%s\n", report_json(totals).c_str());
    std::fflush(context.out);
  } else {
    std::fprintf(context.err, "\n");
    print_report(totals, context.err);
  }
  return Done{};
}

}  // namespace thaw::cli
