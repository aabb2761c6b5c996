// Files of a program that keeps its state on disk: logs that grow, locks, directories. Apart from
// file.h, since most who read files need none of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace thaw {

// A file that grows at its end. One thread at a time, but for sync(), which may run beside others.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  virtual std::uint64_t size() const = 0;
  // Where it fails, some of the bytes may be there: truncate() takes them back.
  virtual Result<Done> append(Bytes bytes) = 0;
  // What was appended before the call outlasts a power cut.
  virtual Result<Done> sync() = 0;
  // Cuts the file down to its first `bytes`. Precondition: it has as many.
  virtual Result<Done> truncate(std::uint64_t bytes) = 0;
};

// Held while it lives; the system lets go of it when the process ends, however that happens.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Thread-safe. Every error is kNotFound (no such file or directory) or kIo, and names the path.
class StateFiles {
 public:
  virtual ~StateFiles() = default;
  // Makes the file, for its owner alone, where there is none.
  virtual Result<std::unique_ptr<AppendFile>> append_to(const std::string& path) = 0;
  // Makes the file where there is none. Waits for up to two seconds while somebody else holds it.
  // Errors: also kUnavailable, somebody still does.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
  // And those above it, for their owner alone. What is there is left as it is.
  virtual Result<Done> make_directory(const std::string& path) = 0;
  virtual Result<Done> remove(const std::string& path) = 0;
};

// The machine's. Stateless; lives as long as the program.
StateFiles& system_state_files();

}  // namespace thaw
