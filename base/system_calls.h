// The system calls that files are made of, as a table, so that a test can put its own in the place
// of any of them. Only base's file sources and their tests include this.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/state_files.h"

namespace thaw::internal {

// Each is the call of its name; errno says why it failed.
struct SystemCalls {
  int (*open)(const char* path, int flags, mode_t mode) =
      [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); };
  int (*close)(int descriptor) = ::close;
  int (*fstat)(int descriptor, struct stat* status) = [](int descriptor, struct stat* status) {
    return ::fstat(descriptor, status);
  };
  ssize_t (*pread)(int descriptor, void* to, std::size_t count, off_t offset) = ::pread;
  ssize_t (*pwrite)(int descriptor, const void* from, std::size_t count, off_t offset) = ::pwrite;
  int (*fsync)(int descriptor) = ::fsync;
  int (*rename)(const char* from, const char* to) = ::rename;
  int (*unlink)(const char* path) = ::unlink;
  int (*ftruncate)(int descriptor, off_t bytes) = ::ftruncate;
  int (*flock)(int descriptor, int operation) = ::flock;
  int (*mkdir)(const char* path, mode_t mode) = ::mkdir;
  void* (*mmap)(void* at, std::size_t bytes, int protection, int flags, int descriptor,
                off_t offset) = ::mmap;
  int (*madvise)(void* at, std::size_t bytes, int advice) = ::madvise;
};

// Files over `calls`.
std::unique_ptr<Files> files_over(const SystemCalls& calls);
std::unique_ptr<StateFiles> state_files_over(const SystemCalls& calls);

// "read 'chat.thaw': No such file or directory" from errno, kNotFound for a missing file.
Error system_error(std::string_view tried, const std::string& path, int error);

// An open descriptor, closed at the end of its life.
class Descriptor {
 public:
  Descriptor(const SystemCalls& calls, int number) : calls_(calls), number_(number) {}
  ~Descriptor() { (void)close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }
  // Closes it early, to see whether that fails (a network file system reports lost writes here).
  int close() {
    if (number_ < 0) return 0;
    const int closed = calls_.close(number_);
    number_ = -1;
    return closed;
  }

 private:
  const SystemCalls& calls_;
  int number_;
};

// open(2) again where a signal interrupted it.
int open_retrying(const SystemCalls& calls, const std::string& path, int flags, mode_t mode = 0);

// Maps the first `bytes` of an open file for reading. Errors: kIo.
Result<std::unique_ptr<Mapping>> map_open(const SystemCalls& calls, const Descriptor& file,
                                          std::uint64_t bytes, const std::string& path);

// The size of an open file that must be a regular one: a directory, pipe or device has none.
Result<std::uint64_t> regular_size(const SystemCalls& calls, const Descriptor& file,
                                   std::string_view tried, const std::string& path);

// See Files::map. In file_map.cc.
Result<std::unique_ptr<Mapping>> map_file(const SystemCalls& calls, const std::string& path);

// See Files::create. In file_write.cc.
Result<std::unique_ptr<WriteFile>> create_file(const SystemCalls& calls, const std::string& path);

}  // namespace thaw::internal
