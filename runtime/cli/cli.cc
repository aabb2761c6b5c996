#include "runtime/cli/cli.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/str.h"

namespace thaw::cli {
namespace {

constexpr const char* kVersion = "thaw 0.1.0";
constexpr const char* kStdin = "; '-' is stdin";

// Binds one subcommand's options to its arguments, and remembers what to call when it is chosen.
class Parser {
 public:
  explicit Parser(const Context& context) : context_(context) {
    app_.description("Makes a model a function: one snapshot file, thawed in milliseconds.");
    app_.require_subcommand(1);
    app_.set_version_flag("--version", kVersion);
    app_.failure_message(CLI::FailureMessage::simple);
    add_freeze();
    add_inspect();
    add_run();
    add_tokenize();
    add_score();
    add_serve();
    add_emulate();
    add_events();
    add_simulate();
    add_bench();
    add_doctor();
  }

  int run(std::span<const std::string> arguments) {
    const bool is_named = !arguments.empty() && is_command(arguments[0]);
    if (!arguments.empty() && !arguments[0].starts_with('-') && !is_named) {
      std::fprintf(context_.err, "thaw: no command '%s'; see 'thaw --help'\n",
                   arguments[0].c_str());
      return 2;
    }
    // CLI11 takes its words from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
      app_.parse(reversed);
    } catch (const CLI::Success& asked) {  // --help, --version
      print_to(context_.out, asked);
      return told(Done{});
    } catch (const CLI::ParseError& error) {
      const std::string helper = is_named ? cat("thaw ", arguments[0]) : "thaw";
      std::fprintf(context_.err, "thaw: %s; see '%s --help'\n", error.what(), helper.c_str());
      return 2;
    }
    return told(action_());
  }

 private:
  // The exit code, once all that was printed is where it belongs: a full disk takes no answer.
  int told(Result<Done> done) {
    errno = 0;
    if (done && (std::fflush(context_.out) != 0 || std::ferror(context_.out) != 0)) {
      // What an earlier write failed of is known no more.
      const char* why = errno == 0 ? "not all of it was taken" : std::strerror(errno);
      done = fail(Code::kIo,
                  cat("write standard output: ", why, "; what was printed is not whole"));
    }
    if (done) return 0;
    std::fprintf(context_.err, "thaw: %s\n", done.error().message.c_str());
    return 1;
  }

  bool is_command(const std::string& word) {
    const auto all = app_.get_subcommands([](CLI::App*) { return true; });
    return std::any_of(all.begin(), all.end(),
                       [&](const CLI::App* command) { return command->get_name() == word; });
  }

  void print_to(std::FILE* to, const CLI::Success& asked) {
    std::ostringstream text;
    app_.exit(asked, text, text);
    std::fputs(text.str().c_str(), to);
  }

  template <class Arguments>
  CLI::App* command(const char* name, const char* description, Arguments& arguments,
                    Result<Done> (*act)(const Arguments&, const Context&)) {
    CLI::App* sub = app_.add_subcommand(name, description);
    sub->callback([this, &arguments, act] {
      action_ = [this, &arguments, act] { return act(arguments, context_); };
    });
    return sub;
  }

  void add_freeze() {
    CLI::App* sub = command("freeze", "Turn a model into one snapshot file", freeze_, freeze);
    sub->add_option("source", freeze_.source,
                    "a GGUF file, a Hugging Face directory, or a .thaw (new manifest or prefixes)")
        ->required();
    sub->add_option("-o,--output", freeze_.output, "the snapshot to write")->required();
    sub->add_option("--weights", freeze_.weights, "keep what is there, or a kind")
        ->check(CLI::IsMember({"keep", "q8", "q4", "q4m", "q4k"}))
        ->capture_default_str();
    sub->add_option("--manifest", freeze_.manifest, "the function manifest, a JSON file");
    sub->add_option("--system", freeze_.system,
                    "the system message of conversations without one; its KV cache is stored");
    sub->add_option("--prefix", freeze_.prefixes,
                    "store the KV cache of prompts that begin as this file does (repeatable)")
        ->allow_extra_args(false);
    sub->add_flag("--no-prefix", freeze_.no_prefix, "store none, and drop those of a .thaw");
    sub->add_flag("--no-chat-template", freeze_.no_chat_template, "prompts are raw text");
    sub->add_flag("--json", freeze_.json, "one JSON document on stdout");
  }

  void add_inspect() {
    CLI::App* sub = command("inspect", "Show what a snapshot holds", inspect_, inspect);
    sub->add_option("snapshot", inspect_.path)->required();
    sub->add_flag("--verify", inspect_.verify, "read and check every byte");
    sub->add_flag("--tensors", inspect_.tensors, "list every tensor");
    sub->add_flag("--json", inspect_.json, "one JSON document on stdout");
  }

  void add_run() {
    CLI::App* sub = command("run", "Answer a prompt on this terminal", run_, cli::run);
    sub->add_option("snapshot", run_.path)->required();
    sub->add_option("prompt", run_.prompt, cat("the prompt", kStdin))->required();
    sub->add_option("-n,--max-tokens", run_.max_tokens, "tokens to generate at most")
        ->check(CLI::Range(1u, std::numeric_limits<std::uint32_t>::max()));
    sub->add_flag("--raw", run_.raw, "no chat template");
    sub->add_option("--system", run_.system, "a system message");
    sub->add_option("--temperature", run_.temperature, "0: always the likeliest token");
    sub->add_option("--top-k", run_.top_k);
    sub->add_option("--top-p", run_.top_p);
    sub->add_option("--min-p", run_.min_p);
    sub->add_option("--seed", run_.seed);
    sub->add_option("--stop", run_.stop, "end before this text (repeatable)")
        ->allow_extra_args(false);
    sub->add_flag("--timings", run_.timings, "draw where the time to the first token went");
    sub->add_flag("--no-prefix", run_.no_prefix, "compute what a stored prefix would give");
    sub->add_flag("--think,!--no-think", run_.thinking, "for templates that know thinking");
    sub->add_option("--threads", run_.threads);
    sub->add_flag("--json", run_.json, "one JSON document on stdout");
  }

  void add_tokenize() {
    CLI::App* sub = command("tokenize", "Print a text's token ids", tokenize_, tokenize);
    sub->add_option("snapshot", tokenize_.path)->required();
    sub->add_option("--text", tokenize_.text, cat("a file", kStdin))->required();
    sub->add_flag("--special", tokenize_.special, "recognise special tokens in the text");
  }

  void add_score() {
    CLI::App* sub = command("score", "Perplexity and logits of a text", score_, score);
    sub->add_option("snapshot", score_.path)->required();
    auto* text = sub->add_option("--text", score_.text, cat("a file", kStdin));
    auto* ids = sub->add_option("--tokens", score_.tokens, cat("a JSON array of ids", kStdin));
    text->excludes(ids);
    sub->add_option("--logits", score_.logits, "write float32 [tokens, vocabulary] to this .npy");
    sub->add_option("--from", score_.from, "score only positions from this one on");
    sub->add_flag("--prefix", score_.prefix,
                  "begin with a stored prefix; without --from, score what it leaves");
    sub->add_flag("--reference", score_.reference,
                  "also evaluate the weights in float32: what quantised arithmetic costs");
    sub->add_option("--chunk", score_.chunk, "tokens evaluated at once");
    sub->add_option("--threads", score_.threads);
    sub->add_flag("--json", score_.json, "one JSON document on stdout");
  }

  void add_serve() {
    CLI::App* sub = command("serve", "Serve a snapshot over HTTP", serve_, serve);
    sub->add_option("snapshot", serve_.path)->required();
    sub->add_option("--host", serve_.host, "a numeric address; 0.0.0.0: every one of this machine")
        ->capture_default_str();
    sub->add_option("--port", serve_.port, "0: any free one")
        ->capture_default_str()
        ->check(CLI::Range(0, 65535));
    sub->add_option("--threads", serve_.threads);
    sub->add_option("--concurrency", serve_.concurrency, "answers generated together")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
  }

  void add_emulate() {
    CLI::App* sub = command("emulate", "Play the platform on this machine", emulate_, emulate);
    sub->add_option("source", emulate_.path,
                    "a snapshot, a directory of them, a SAM template or s.yaml")
        ->required();
    sub->add_option("--port", emulate_.port)->capture_default_str()->check(CLI::Range(0, 65535));
    sub->add_option("--bootstrap", emulate_.bootstrap, "the custom runtime to start");
    sub->add_option("--timeout", emulate_.timeout_seconds, "seconds an invocation may take")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 900.0));
    sub->add_option("--memory", emulate_.memory_megabytes, "MB the function is told it has")
        ->capture_default_str()
        ->check(CLI::Range(128, 10240));
    sub->add_option("--concurrency", emulate_.concurrency, "instances a function may have")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    sub->add_option("--invoke-mode", emulate_.invoke_mode, "of the function URL")
        ->check(CLI::IsMember({"buffered", "response_stream"}))
        ->capture_default_str();
    const auto source = [&](const char* name, std::vector<std::string>& to, const char* says) {
      sub->add_option(name, to, says)->allow_extra_args(false);
    };
    source("--parameter", emulate_.parameters, "KEY=VALUE of a template (repeatable)");
    source("--queue", emulate_.queues,
           "[FUNCTION=]FILE: its lines are messages, as of SQS; '-' is stdin (repeatable)");
    source("--watch", emulate_.watches,
           "[FUNCTION=]FOLDER: its new files are events, as of S3 (repeatable)");
    source("--schedule", emulate_.schedules,
           "[FUNCTION=]rate(...) or cron(...), as of EventBridge (repeatable)");
    sub->add_option("--batch", emulate_.batch_size, "messages of --queue at a time")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));
    sub->add_option("--event", emulate_.event,
                    cat("invoke once with this file, print the answer and end", kStdin));
    sub->add_option("--state", emulate_.state,
                    "the directory of asynchronous events; without it one for each port");
    sub->add_option("--retry-scale", emulate_.retry_scale,
                    "of the minutes between attempts of an asynchronous invocation")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1000.0));
    add_emulate_lifecycle(sub);
  }

  void add_emulate_lifecycle(CLI::App* sub) {
    sub->add_option("--provisioned", emulate_.provisioned, "instances kept started")
        ->check(CLI::Range(0, 1000));
    sub->add_option("--instance-concurrency", emulate_.instance_concurrency,
                    "invocations at once in one instance, as on Managed Instances")
        ->capture_default_str()
        ->check(CLI::Range(1, 1600));
    sub->add_option("--keep-alive", emulate_.keep_alive_seconds, "seconds an idle instance stays")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 86400.0));
    sub->add_flag("--snap-start", emulate_.snap_start, "play SnapStart: freeze, then restore");
    sub->add_flag("--no-freeze", emulate_.no_freeze, "let instances run between invocations");
    sub->add_flag("--cold", emulate_.cold, "a new instance for every invocation");
    sub->add_flag("--drop-cache", emulate_.drop_cache,
                  "evict the snapshot from the page cache before each start");
    sub->add_option("--extensions", emulate_.extensions, "a folder of extensions to start");
    sub->add_option("--fault", emulate_.faults,
                    "kill-at:BYTES, slow-network:BYTES_PER_S, latency:MS, lost-response, throttle, "
                    "init-crash, init-hang; each may end in :CHANCE; repeatable");
    sub->add_option("--seed", emulate_.seed, "of the faults")->capture_default_str();
    sub->add_option("--log-format", emulate_.log_format, "of the platform's lines")
        ->capture_default_str()
        ->check(CLI::IsMember({"text", "json"}));
    sub->add_flag("--plain", emulate_.plain, "plain lines on a terminal, too");
    sub->add_flag("--json", emulate_.json, "everything that happens as lines of JSON on stdout");
  }

  void add_simulate() {
    CLI::App* sub =
        command("simulate", "What traffic would wait for and cost", simulate_, simulate);
    sub->add_option("trace", simulate_.trace,
                    cat("arrivals: CSV, JSON lines, Azure's public traces", kStdin));
    sub->add_option("--arrivals", simulate_.pattern, "made up, where no trace is given")
        ->check(CLI::IsMember({"poisson", "bursty", "diurnal"}))
        ->capture_default_str();
    sub->add_option("--rate", simulate_.rate, "of those, a second")->capture_default_str();
    sub->add_option("--for", simulate_.length_seconds, "seconds of those")->capture_default_str();
    sub->add_option("--seed", simulate_.seed)->capture_default_str();
    sub->add_option("--prompt-tokens", simulate_.prompt_tokens, "where the trace tells none")
        ->capture_default_str();
    sub->add_option("--output-tokens", simulate_.output_tokens)->capture_default_str();
    sub->add_option("--spread", simulate_.spread, "deviation of the tokens' logarithm");
    sub->add_option("--measured", simulate_.measured,
                    "phases: what 'thaw bench --json' or 'thaw run --json' printed (repeatable)")
        ->allow_extra_args(false);
    sub->add_option("--start-ms", simulate_.start_ms, "exec to ready");
    sub->add_option("--overhead-ms", simulate_.overhead_ms, "of an invocation, beside its tokens");
    sub->add_option("--prefill", simulate_.prefill, "tokens a second");
    sub->add_option("--decode", simulate_.decode, "tokens a second");
    sub->add_option("--measured-vcpus", simulate_.vcpus_measured,
                    "that the rates were measured with");
    sub->add_option("--platform", simulate_.platforms,
                    "lambda-x86, lambda-arm, fc, cloud-run (repeatable)")
        ->delimiter(',')
        ->capture_default_str();
    sub->add_option("--memory", simulate_.memory, "MB (repeatable)")
        ->delimiter(',')
        ->capture_default_str();
    sub->add_option("--policy", simulate_.policies,
                    "who stays warm: fixed:SECONDS, histogram, greedy-dual (repeatable)")
        ->delimiter(',')
        ->capture_default_str();
    sub->add_option("--vcpus", simulate_.vcpus, "of an instance, where memory does not say");
    sub->add_option("--disk", simulate_.disk_mb, "MB of an instance")->capture_default_str();
    sub->add_option("--concurrency", simulate_.concurrency, "instances a function may have")
        ->capture_default_str();
    sub->add_option("--queue", simulate_.queue, "who may wait beyond that")->capture_default_str();
    sub->add_option("--queue-seconds", simulate_.queue_seconds, "how long; 0: as it takes");
    sub->add_option("--provisioned", simulate_.provisioned, "instances kept ready");
    sub->add_option("--per-instance", simulate_.per_instance, "invocations at a time")
        ->capture_default_str();
    sub->add_option("--timeout", simulate_.timeout_seconds)->capture_default_str();
    sub->add_option("--memory-total", simulate_.memory_total_mb,
                    "MB of all instances; 0: no limit");
    sub->add_option("--snapstart", simulate_.snapstart_ms, "starts are restores of this many ms");
    sub->add_option("--prices", simulate_.prices, "rows in place of the built-in ones");
    sub->add_flag("--free-tier", simulate_.free_tier, "less what a month has for nothing");
    sub->add_option("--svg", simulate_.svg, "draw the comparison into this file");
    sub->add_flag("--json", simulate_.json, "one JSON document on stdout");
  }

  void add_events() {
    CLI::App* sub = command("events", "Sample events of each source", events_, events);
    sub->add_option("action", events_.action, "list or show")
        ->check(CLI::IsMember({"list", "show"}))
        ->capture_default_str();
    sub->add_option("name", events_.name, "of the event to show");
    sub->add_flag("--json", events_.json, "the list as one JSON document");
  }

  void add_bench() {
    CLI::App* sub = command("bench", "Measure speed, beside this machine's limits", bench_, bench);
    sub->add_option("snapshot", bench_.path)->required();
    sub->add_option("--prompt", bench_.prompt, "tokens of prefill; without it several lengths");
    sub->add_option("--generate", bench_.generate, "tokens of decode, behind the prompt");
    sub->add_option("--rounds", bench_.rounds)->capture_default_str()->check(CLI::Range(1, 1000));
    sub->add_option("--threads", bench_.threads);
    sub->add_flag("--json", bench_.json, "one JSON document on stdout");
  }

  void add_doctor() {
    CLI::App* sub =
        command("doctor", "What this machine has, and what would go wrong", doctor_, doctor);
    sub->add_option("snapshot", doctor_.path, "judge the machine by this snapshot");
    sub->add_flag("--json", doctor_.json, "one JSON document on stdout");
  }

  CLI::App app_{"", "thaw"};
  const Context& context_;
  std::function<Result<Done>()> action_;
  FreezeArguments freeze_;
  InspectArguments inspect_;
  RunArguments run_;
  TokenizeArguments tokenize_;
  ScoreArguments score_;
  ServeArguments serve_;
  EmulateArguments emulate_;
  EventsArguments events_;
  SimulateArguments simulate_;
  BenchArguments bench_;
  DoctorArguments doctor_;
};

}  // namespace

int main(std::span<const std::string> arguments, Context context) {
  return Parser(context).run(arguments);
}

}  // namespace thaw::cli
