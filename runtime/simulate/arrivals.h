// Invocations in the order in which they come: from a trace, or made up with a seed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thaw::simulate {

struct Arrival {
  std::chrono::nanoseconds at{0};  // since the beginning; never less than the one before
  std::uint32_t function = 0;      // counted from 0, in the order in which they appear
  std::uint32_t prompt_tokens = 0;
  std::uint32_t output_tokens = 0;
};

// One thread at a time.
class Arrivals {
 public:
  virtual ~Arrivals() = default;
  // Nothing at the end. Errors: those of the file; kInvalid, naming the line.
  virtual Result<std::optional<Arrival>> next() = 0;
};

// What stands in for tokens that a trace does not tell: a median, and the deviation of its
// logarithm (0: always the median).
struct TokenCounts {
  std::uint32_t prompt = 100;
  std::uint32_t output = 50;
  double spread = 0;
};

enum class Pattern : unsigned char {
  kPoisson,  // independent of each other
  kBursty,   // calm and bursts by turns: a tenth of the time at nine times the calm rate
  kDiurnal,  // a day's wave: at its height nine times as many as at its lowest
};

struct GeneratorOptions {
  Pattern pattern = Pattern::kPoisson;
  double rate = 1;  // a second, on average
  std::chrono::nanoseconds length = std::chrono::hours(1);
  std::uint64_t seed = 1;
  TokenCounts tokens;
};

// Errors: kInvalid (rate or length not positive, a length beyond ten years).
Result<std::unique_ptr<Arrivals>> generate(const GeneratorOptions& options);

// Fills `to` with the next bytes; 0 at the end.
using ReadBytes = std::function<Result<std::size_t>(char* to, std::size_t count)>;

struct TraceOptions {
  std::string name;        // for messages
  TokenCounts tokens;      // where the trace tells none
  std::uint64_t seed = 1;  // spreads arrivals that are only counted by the minute
};

// Limits of a trace; more is refused with a message that names the line.
inline constexpr std::size_t kTraceLineBytesMax = 64 << 10;
inline constexpr std::uint32_t kTraceFunctionsMax = 200'000;
inline constexpr std::uint32_t kTraceTokensMax = 10'000'000;
inline constexpr std::size_t kTraceCountsMax =
    32'000'000;  // minutes with invocations, 8 bytes each
inline constexpr double kTraceSecondsMax = 10 * 366 * 86400.0;

// Reads what the first line says it is:
//   CSV with the columns `at` (seconds) and, where there are, `prompt_tokens`, `output_tokens`,
//     `function`, in any order;
//   JSON lines with the same names;
//   Azure's LLM inference traces (TIMESTAMP,ContextTokens,GeneratedTokens);
//   Azure Functions' trace of 2019 (HashOwner,HashApp,HashFunction,Trigger,1,...,1440): counts by
//   the
//     minute, spread evenly at random within it. This one is read whole before the first arrival,
//     the others as they are replayed.
// Errors: kInvalid  no such format, or the line, what was found and what is wanted
Result<std::unique_ptr<Arrivals>> open_trace(ReadBytes read, const TraceOptions& options);

}  // namespace thaw::simulate
