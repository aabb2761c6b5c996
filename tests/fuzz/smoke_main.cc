// Runs a fuzz target without libFuzzer: the corpus as it is, then seeded mutations of it. An input
// that crashes the target, hangs it or makes it ask for too much memory ends the process with a
// failure, a line that says how to come back to it, and the input in a file.
//   gguf_fuzz [--runs=N] [--seed=S] FILE-OR-FOLDER...
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// A target may mend its checksums after a mutation, so that what lies behind them is reached.
extern "C" __attribute__((weak)) void thaw_fuzz_mend(std::uint8_t* data, std::size_t size);
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace thaw::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kInputBytesMax = 1 << 20;
constexpr unsigned kSecondsMax = 20;            // one input; a sound target takes milliseconds
constexpr rlim_t kMemoryMax = rlim_t{2} << 30;  // bytes of address space, where no sanitizer is

// What is being run, for the handler of its crash.
const std::uint8_t* current_data = nullptr;
std::size_t current_size = 0;
char current_name[256];

void put(int to, const char* text) {
  [[maybe_unused]] const ssize_t written = ::write(to, text, std::strlen(text));
}

// Only calls that a signal handler may make.
void tell() {
  put(STDERR_FILENO, "\nfailed on ");
  put(STDERR_FILENO, current_name);
  put(STDERR_FILENO, "; the input is in ./crash-input\n");
  const int file = ::open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, current_data, current_size);
  ::close(file);
}

void on_signal(int signal) {
  tell();
  if (signal == SIGALRM) put(STDERR_FILENO, "it took too long\n");
  std::signal(signal == SIGALRM ? SIGABRT : signal, SIG_DFL);
  std::raise(signal == SIGALRM ? SIGABRT : signal);
}

void watch() {
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(tell);
  } else {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) std::signal(signal, on_signal);
    const rlimit memory = {kMemoryMax, kMemoryMax};
    ::setrlimit(RLIMIT_AS, &memory);
  }
  std::signal(SIGABRT, on_signal);
  std::signal(SIGALRM, on_signal);
}

void run(const Input& input) {
  // A copy of exactly the input's size on the heap: a sanitizer sees the first byte read past it.
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[input.size()]);
  std::copy(input.begin(), input.end(), copy.get());
  current_data = copy.get();
  current_size = input.size();
  ::alarm(kSecondsMax);
  LLVMFuzzerTestOneInput(copy.get(), input.size());
  ::alarm(0);
}

std::vector<fs::path> files_of(const std::vector<std::string>& places) {
  std::vector<fs::path> files;
  for (const std::string& place : places) {
    if (!fs::is_directory(place)) {
      files.emplace_back(place);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(place)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

int smoke(std::uint64_t runs, std::uint64_t seed, const std::vector<std::string>& places) {
  watch();
  std::vector<Input> corpus;
  for (const fs::path& path : files_of(places)) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "read '%s': cannot be opened\n", path.c_str());
      return 2;
    }
    Input input{std::istreambuf_iterator<char>(file), {}};
    std::snprintf(current_name, sizeof current_name, "%s", path.filename().c_str());
    run(input);
    if (input.size() <= kInputBytesMax) corpus.push_back(std::move(input));
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "no corpus: name at least one file of at most %zu bytes\n",
                 kInputBytesMax);
    return 2;
  }
  for (std::uint64_t i = 0; i < runs; ++i) {
    // Each run has a seed of its own, so that one can be run alone: --seed=(S + i) --runs=1.
    Random random(seed + i);
    Input input = mutate(corpus, kInputBytesMax, random);
    // Now and then not mended: what a wrong checksum leads to is part of the target as well.
    const bool mended = random.below(8) != 0;
    if (mended && thaw_fuzz_mend != nullptr) thaw_fuzz_mend(input.data(), input.size());
    std::snprintf(current_name, sizeof current_name, "--runs=1 --seed=%llu",
                  static_cast<unsigned long long>(seed + i));
    run(input);
  }
  std::printf("%zu inputs and %llu mutations of them from seed %llu: no complaint\n", corpus.size(),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
  return 0;
}

}  // namespace
}  // namespace thaw::fuzz

int main(int count, char** arguments) {
  std::uint64_t runs = 0;
  std::uint64_t seed = 1;
  std::vector<std::string> places;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument.starts_with("--runs=")) {
      runs = std::strtoull(argument.c_str() + 7, nullptr, 10);
    } else if (argument.starts_with("--seed=")) {
      seed = std::strtoull(argument.c_str() + 7, nullptr, 10);
    } else {
      places.push_back(argument);
    }
  }
  return thaw::fuzz::smoke(runs, seed, places);
}
