// Where a template's function has its snapshot on this machine.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"
#include "base/state_files.h"
#include "runtime/deployment/template.h"

namespace thaw::deployment {

// The path of the snapshot that `function` names: below its code, if that is a folder; taken out of
// its code into `unpacked`, if that is a zip that stores it uncompressed; else beside the template.
// Errors: kNotFound, naming where it looked; kUnsupported (a compressed one); kCorrupt, kIo.
Result<std::string> find_snapshot(const TemplateFunction& function,
                                  const std::string& template_directory,
                                  const std::string& unpacked, Files& files,
                                  StateFiles& state_files);

}  // namespace thaw::deployment
