#include "handler/freeze/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/str.h"

namespace thaw::freeze {
namespace {

constexpr double kTau = 2 * std::numbers::pi;

// Llama 3.1's smoothing between kept and stretched wavelengths.
double llama3(double frequency, const RopeScaling& scaling) {
  const double wavelength = kTau / frequency;
  const double low = scaling.original_context / scaling.low_frequency_factor;
  const double high = scaling.original_context / scaling.high_frequency_factor;
  if (wavelength < high) return frequency;
  if (wavelength > low) return frequency / scaling.factor;
  const double smooth = (scaling.original_context / wavelength - scaling.low_frequency_factor) /
                        (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

// YaRN (Peng et al. 2023, section 3.2): a ramp between pairs that turn often and pairs that do not.
double yarn(double frequency, std::uint32_t pair, std::uint32_t dims, double base,
            const RopeScaling& scaling) {
  const auto correction = [&](double rotations) {
    return dims * std::log(scaling.original_context / (rotations * kTau)) / (2 * std::log(base));
  };
  const double low = std::max(std::floor(correction(scaling.beta_fast)), 0.0);
  const double high = std::min(std::ceil(correction(scaling.beta_slow)), dims - 1.0);
  const double width = std::max(high - low, 0.001);
  const double ramp = std::clamp((pair - low) / width, 0.0, 1.0);
  return frequency / scaling.factor * ramp + frequency * (1 - ramp);
}

Result<Done> check(double base, const RopeScaling& scaling, std::span<const float> divisors) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  if (!std::isfinite(base) || base <= 1) {
    return fail(Code::kCorrupt, cat("rope: base ", base, ", wanted more than 1"));
  }
  if (!positive(scaling.factor)) {
    return fail(Code::kCorrupt, cat("rope: scaling factor ", scaling.factor, ", wanted > 0"));
  }
  const bool stretched =
      scaling.type == RopeScaling::Type::kLlama3 || scaling.type == RopeScaling::Type::kYarn;
  if (stretched && !positive(scaling.original_context)) {
    return fail(Code::kCorrupt,
                cat("rope: original context ", scaling.original_context, ", wanted > 0"));
  }
  if (scaling.type == RopeScaling::Type::kLlama3 &&
      (!positive(scaling.low_frequency_factor) ||
       !(scaling.high_frequency_factor > scaling.low_frequency_factor))) {
    return fail(Code::kCorrupt, "rope: llama3 frequency factors, wanted 0 < low < high");
  }
  if (scaling.type == RopeScaling::Type::kYarn &&
      (!positive(scaling.beta_fast) || !positive(scaling.beta_slow))) {
    return fail(Code::kCorrupt, "rope: yarn betas, wanted > 0");
  }
  for (const float divisor : divisors) {
    if (!positive(divisor)) {
      return fail(Code::kCorrupt, cat("rope: frequency divisor ", divisor, ", wanted > 0"));
    }
  }
  return Done{};
}

}  // namespace

Result<Rope> make_rope(std::uint32_t dims, double base, const RopeScaling& scaling,
                       std::span<const float> divisors) {
  THAW_TRY_DO(check(base, scaling, divisors));
  if (!divisors.empty() && divisors.size() != dims / 2) {
    return fail(Code::kCorrupt,
                cat("rope: ", divisors.size(), " frequency divisors, wanted ", dims / 2));
  }
  Rope rope;
  for (std::uint32_t pair = 0; pair < dims / 2; ++pair) {
    double frequency = std::pow(base, -2.0 * pair / dims);
    switch (scaling.type) {
      case RopeScaling::Type::kNone: break;
      case RopeScaling::Type::kLinear: frequency /= scaling.factor; break;
      case RopeScaling::Type::kLlama3: frequency = llama3(frequency, scaling); break;
      case RopeScaling::Type::kYarn: frequency = yarn(frequency, pair, dims, base, scaling); break;
    }
    if (!divisors.empty()) frequency /= divisors[pair];
    double turns = frequency / kTau;
    turns -= std::floor(turns);
    // 2^64 * turns: in [0, 2^64) since turns < 1, exact since it only moves the exponent.
    rope.turns.push_back(static_cast<std::uint64_t>(std::ldexp(turns, 64)));
  }
  if (scaling.type == RopeScaling::Type::kYarn) {
    const double factor = scaling.attention_factor.value_or(
        scaling.factor > 1 ? 0.1 * std::log(scaling.factor) + 1 : 1.0);
    if (!std::isfinite(factor)) return fail(Code::kCorrupt, "rope: attention factor not finite");
    rope.factor = static_cast<float>(factor);
  }
  return rope;
}

}  // namespace thaw::freeze
