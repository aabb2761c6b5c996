#include "handler/timings.h"

#include <charconv>
#include <cstdint>

namespace thaw::handler {

Phases phases_of(const GenerationPhases& generation, const StartTimes* start) {
  Phases phases;
  const auto add = [&](std::string_view name, std::chrono::nanoseconds time) {
    phases.all[phases.count++] = {name, time};
  };
  if (start != nullptr) {
    add("exec", start->exec);
    add("map", start->map);
    add("verify", start->verify);
    add("plan", start->plan);
    add("tokenizer", start->tokenizer);
    add("engine", start->engine);
  }
  add("tokenise", generation.tokenise);
  add("prefix", generation.prefix);
  add("read", generation.read);
  add("prefill", generation.prefill);
  add("first_token", generation.first_token);
  add("decode", generation.decode);
  if (start != nullptr) add("since_start", generation.since_start);
  return phases;
}

GenerationPhases& operator+=(GenerationPhases& to, const GenerationPhases& from) {
  to.tokenise += from.tokenise;
  to.prefix += from.prefix;
  to.read += from.read;
  to.prefill += from.prefill;
  to.first_token += from.first_token;
  to.decode += from.decode;
  to.since_start += from.since_start;
  return to;
}

std::optional<Clock::Monotonic> launcher_stamp(std::string_view text) {
  std::int64_t stamp = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), stamp);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || stamp <= 0) {
    return std::nullopt;
  }
  return Clock::Monotonic(std::chrono::nanoseconds(stamp));
}

std::string_view clock_name(const StartTimes& start) {
  return start.from_launcher ? "launcher" : "process";
}

double milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count() / 1000) / 1000.0;
}

std::string server_timing(const GenerationPhases& generation, const StartTimes* start) {
  std::string text;
  for (const Phase& phase : phases_of(generation, start)) {
    if (phase.time.count() == 0) continue;
    char number[32];
    const auto end = std::to_chars(number, number + sizeof number, milliseconds(phase.time),
                                   std::chars_format::fixed, 3);
    if (!text.empty()) text += ", ";
    text.append(phase.name).append(";dur=").append(number, end.ptr);
  }
  return text;
}

}  // namespace thaw::handler
