// What `thaw emulate` is given: a snapshot, a folder of them or a template; and what invokes its
// functions beside clients.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/cli/commands.h"
#include "runtime/emulator/emulator.h"
#include "runtime/triggers/triggers.h"

namespace thaw::cli {

struct EmulateSources {
  std::vector<triggers::QueueSource> queues;
  std::vector<triggers::BucketSource> buckets;
  std::vector<triggers::ScheduleSource> schedules;
  std::vector<std::string> notes;  // what a template has and the emulator has not
};

// What the command line gives a function, from its snapshot's path.
using MakeFunction = std::function<emulator::FunctionOptions(const std::string& snapshot)>;

// Adds functions and APIs to `options`, whose state directory is set.
// Errors: kInvalid, kNotFound, kLimit, kUnsupported, kIo.
Result<EmulateSources> read_sources(const EmulateArguments& arguments, const MakeFunction& make,
                                    const Context& context, emulator::Options& options);

// Begins to invoke. `emulator` and `context` outlive what is returned, but for its stop().
std::unique_ptr<triggers::Triggers> start_triggers(const EmulateSources& sources,
                                                   emulator::Emulator& emulator,
                                                   const std::string& region,
                                                   const Context& context,
                                                   std::function<void(std::string_view)> log);

// One event from a file or stdin: the answer on context.out. Errors: also kIo, it failed.
Result<Done> invoke_once(emulator::Emulator& emulator, const std::string& function,
                         const std::string& event_path, const Context& context);

}  // namespace thaw::cli
