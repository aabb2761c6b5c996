#include "runtime/cli/emulate_sources.h"

#include <algorithm>
#include <utility>

#include "base/str.h"
#include "runtime/deployment/code.h"
#include "runtime/deployment/template.h"

namespace thaw::cli {
namespace {

constexpr std::string_view kSuffix = ".thaw";
constexpr std::chrono::seconds kVisibility{30};  // SQS's default

bool is_template(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml") || path.ends_with(".json");
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

// The snapshot, or all of a directory's.
Result<std::vector<std::string>> snapshots_at(const std::string& path, Files& files) {
  THAW_TRY(entry, files.stat(path));
  if (!entry.is_directory) return std::vector<std::string>{path};
  THAW_TRY(list, files.list(path));
  std::vector<std::string> snapshots;
  for (const DirectoryEntry& file : list) {
    if (!file.is_directory && file.name.ends_with(kSuffix)) {
      snapshots.push_back(cat(path, "/", file.name));
    }
  }
  if (snapshots.empty()) {
    return fail(Code::kNotFound, cat("emulate '", path,
                                     "': no .thaw file in this directory; make one with 'thaw "
                                     "freeze'"));
  }
  return snapshots;
}

// What the template says over what the command line gives.
emulator::FunctionOptions merged(emulator::FunctionOptions function,
                                 const emulator::FunctionOptions& from) {
  function.name = from.name;
  function.memory_mb = from.memory_mb;
  function.timeout = from.timeout;
  function.url_streams = from.url_streams;
  function.cors = from.cors;
  function.environment.insert(function.environment.end(), from.environment.begin(),
                              from.environment.end());
  function.reserved_concurrency = from.reserved_concurrency;
  function.asynchronous = from.asynchronous;
  function.dead_letter = from.dead_letter;
  function.pool.provisioned = std::max(function.pool.provisioned, from.pool.provisioned);
  function.pool.instances_max = std::max(function.pool.instances_max, function.pool.provisioned);
  function.pool.invocations_per_instance =
      std::max(function.pool.invocations_per_instance, from.pool.invocations_per_instance);
  return function;
}

triggers::QueueSource queue_source(std::string function, std::string name, std::string path,
                                   const emulator::Options& options) {
  triggers::QueueSource queue;
  queue.function = std::move(function);
  queue.dead_letters = cat(options.state_directory, "/destinations/", name, "-dead.jsonl");
  queue.name = std::move(name);
  queue.path = std::move(path);
  queue.visibility = std::chrono::milliseconds(
      static_cast<std::int64_t>(options.retry_scale * 1000 * kVisibility.count()));
  return queue;
}

// Where a template's queue or bucket lies on this machine.
Result<Done> add_source(const deployment::Source& source, const emulator::Options& options,
                        EmulateSources& out) {
  StateFiles& disk = system_state_files();
  const bool plain = source.name.find('/') == source.name.npos && !source.name.starts_with('.');
  if (source.kind == deployment::Source::Kind::kSchedule) {
    THAW_TRY(schedule, triggers::Schedule::parse(source.expression));
    out.schedules.push_back({source.function, source.name, schedule, source.input});
    return Done{};
  }
  if (!plain) {
    return fail(Code::kInvalid, cat("emulate: a queue or bucket called '",
                                    source.name.substr(0, 100), "': no name of a file"));
  }
  if (source.kind == deployment::Source::Kind::kQueue) {
    const std::string directory = cat(options.state_directory, "/queues");
    THAW_TRY_DO(disk.make_directory(directory));
    const std::string path = cat(directory, "/", source.name, ".jsonl");
    THAW_TRY_DO(disk.append_to(path));  // so that there is a file to write to
    auto queue = queue_source(source.function, source.name, path, options);
    queue.batch_size = source.batch_size;
    queue.window = std::chrono::seconds(source.window_seconds);
    queue.partial_failures = source.partial_failures;
    out.queues.push_back(std::move(queue));
    return Done{};
  }
  const std::string directory = cat(options.state_directory, "/buckets/", source.name);
  THAW_TRY_DO(disk.make_directory(directory));
  out.buckets.push_back({source.function, source.name, directory});
  return Done{};
}

Result<EmulateSources> read_deployed(const EmulateArguments& arguments, const MakeFunction& make,
                                     const Context& context, emulator::Options& options) {
  THAW_TRY(text, read_text(context.files, arguments.path, deployment::kYamlBytesMax));
  deployment::TemplateOptions settings;
  settings.region = options.region;
  for (const std::string& parameter : arguments.parameters) {
    const std::size_t equals = parameter.find('=');
    if (equals == parameter.npos || equals == 0) {
      return fail(Code::kInvalid, cat("--parameter '", parameter, "': want KEY=VALUE"));
    }
    settings.parameters[parameter.substr(0, equals)] = parameter.substr(equals + 1);
  }
  THAW_TRY(deployed, deployment::read_template(arguments.path, text, settings));
  for (const deployment::TemplateFunction& function : deployed.functions) {
    THAW_TRY(snapshot, deployment::find_snapshot(function, directory_of(arguments.path),
                                                 options.state_directory + "/code", context.files,
                                                 system_state_files()));
    options.functions.push_back(merged(make(snapshot), function.options));
  }
  options.apis = deployed.apis;
  EmulateSources out;
  out.notes = deployed.notes;
  for (const deployment::Source& source : deployed.sources) {
    THAW_TRY_DO(add_source(source, options, out));
    if (source.kind != deployment::Source::Kind::kSchedule) {
      out.notes.push_back(
          source.kind == deployment::Source::Kind::kQueue
              ? cat("queue '", source.name, "': its messages are lines of ", out.queues.back().path)
              : cat("bucket '", source.name, "': its objects are files of ",
                    out.buckets.back().directory));
    }
  }
  return out;
}

// "FUNCTION=WHAT", or WHAT for the only function.
Result<std::pair<std::string, std::string>> bound(std::string_view option, const std::string& text,
                                                  const emulator::Options& options) {
  const std::size_t equals = text.find('=');
  for (const emulator::FunctionOptions& function : options.functions) {
    if (equals != text.npos && function.name == text.substr(0, equals)) {
      return std::pair(function.name, text.substr(equals + 1));
    }
  }
  if (options.functions.size() == 1) return std::pair(options.functions[0].name, text);
  return fail(Code::kInvalid, cat(option, " '", text.substr(0, 200),
                                  "': there are several functions; want FUNCTION=..."));
}

Result<Done> add_asked(const EmulateArguments& arguments, const emulator::Options& options,
                       const Context& context, EmulateSources& out) {
  for (const std::string& text : arguments.queues) {
    THAW_TRY(queue, bound("--queue", text, options));
    std::string name = queue.second.substr(queue.second.rfind('/') + 1);
    name = queue.second == "-" ? "stdin" : name.substr(0, name.find('.'));
    if (queue.second != "-") THAW_TRY_DO(context.files.stat(queue.second));
    out.queues.push_back(queue_source(queue.first, name, queue.second, options));
    out.queues.back().batch_size = arguments.batch_size;
    out.queues.back().partial_failures = true;
  }
  for (const std::string& text : arguments.watches) {
    THAW_TRY(bucket, bound("--watch", text, options));
    while (bucket.second.size() > 1 && bucket.second.ends_with('/')) bucket.second.pop_back();
    THAW_TRY(entry, context.files.stat(bucket.second));
    if (!entry.is_directory) {
      return fail(Code::kInvalid, cat("--watch '", bucket.second, "': want a folder"));
    }
    out.buckets.push_back({bucket.first, entry.name, bucket.second});
  }
  for (const std::string& text : arguments.schedules) {
    THAW_TRY(rule, bound("--schedule", text, options));
    THAW_TRY(schedule, triggers::Schedule::parse(rule.second));
    out.schedules.push_back({rule.first, cat("schedule-", out.schedules.size() + 1), schedule, ""});
  }
  return Done{};
}

}  // namespace

Result<EmulateSources> read_sources(const EmulateArguments& arguments, const MakeFunction& make,
                                    const Context& context, emulator::Options& options) {
  EmulateSources out;
  if (is_template(arguments.path)) {
    THAW_TRY(deployed, read_deployed(arguments, make, context, options));
    out = std::move(deployed);
  } else {
    THAW_TRY(snapshots, snapshots_at(arguments.path, context.files));
    for (const std::string& path : snapshots) options.functions.push_back(make(path));
  }
  THAW_TRY_DO(add_asked(arguments, options, context, out));
  return out;
}

std::unique_ptr<triggers::Triggers> start_triggers(const EmulateSources& sources,
                                                   emulator::Emulator& emulator,
                                                   const std::string& region,
                                                   const Context& context,
                                                   std::function<void(std::string_view)> log) {
  triggers::Functions functions;
  functions.invoke = [&emulator](const std::string& function, std::string event) {
    auto outcome = emulator.invoke(function, std::move(event));
    const bool done = outcome.completion.kind == emulator::Completion::Kind::kDone;
    return triggers::Functions::Answer{done && !outcome.completion.failure,
                                       std::move(outcome.body)};
  };
  functions.accept = [&emulator](const std::string& function, std::string event) {
    return emulator.accept(function, std::move(event));
  };
  auto running =
      std::make_unique<triggers::Triggers>(std::move(functions), context.clock, context.files,
                                           system_state_files(), region, std::move(log));
  for (const auto& queue : sources.queues) running->add(queue);
  for (const auto& bucket : sources.buckets) running->add(bucket);
  for (const auto& schedule : sources.schedules) running->add(schedule);
  return running;
}

Result<Done> invoke_once(emulator::Emulator& emulator, const std::string& function,
                         const std::string& event_path, const Context& context) {
  THAW_TRY(event, read_input(context, event_path));
  const auto outcome = emulator.invoke(function, std::move(event));
  const emulator::Completion& end = outcome.completion;
  if (end.kind != emulator::Completion::Kind::kDone) {
    return fail(Code::kUnavailable, cat("invoke '", function, "': ", end.message));
  }
  const std::string& answer = end.failure ? end.failure->document : outcome.body;
  std::fwrite(answer.data(), 1, answer.size(), context.out);
  std::fputc('\n', context.out);
  std::fflush(context.out);
  if (!end.failure) return Done{};
  return fail(Code::kIo, cat("invoke '", function, "': it failed: ", end.failure->type));
}

}  // namespace thaw::cli
