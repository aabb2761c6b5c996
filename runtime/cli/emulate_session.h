// An emulation from its start to the signal or the key that ends it, and what a person sees of it:
// a live view on a terminal, plain lines elsewhere, or lines of JSON.
#pragma once

#include "base/result.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/emulate_sources.h"
#include "runtime/emulator/options.h"

namespace thaw::cli {

struct SessionOptions {
  bool plain = false;  // lines, on a terminal, too
  bool json = false;   // everything that happens as lines of JSON on context.out
};

// Ends on SIGINT, SIGTERM or SIGHUP, with a report. Call it before any thread is started: it blocks
// these signals for all of them. Errors: as Emulator::start.
Result<Done> run_session(emulator::Options options, const EmulateSources& sources,
                         const SessionOptions& session, const Context& context);

// One invocation of the first function with the event of a file or stdin: its answer on
// context.out. Errors: as above, and those of invoke_once().
Result<Done> run_once(emulator::Options options, const std::string& event_path,
                      const Context& context);

}  // namespace thaw::cli
