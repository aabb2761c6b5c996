#include "runtime/cli/commands.h"

namespace thaw::cli {

Result<Done> emulate(const EmulateArguments&, const Context&) {
  return fail(Code::kUnsupported, "emulate: not linked into this build yet");
}

}  // namespace thaw::cli
