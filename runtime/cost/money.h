// Amounts of money, kept exactly.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <string>

namespace thaw::cost {

// A number of billionths of a US dollar; up to nine billion dollars. Sums are exact and do not
// depend on their order.
class Money {
 public:
  constexpr Money() = default;
  static constexpr Money nanodollars(std::int64_t count) { return Money(count); }
  // Rounded to the nearest billionth; what does not fit is the largest amount that does.
  static Money dollars(double amount) {
    constexpr double kMax = 9.2e18;
    const double nano = amount * 1e9;
    if (!(nano > -kMax)) return Money(nano < 0 ? static_cast<std::int64_t>(-kMax) : 0);
    return Money(nano < kMax ? std::llrint(nano) : static_cast<std::int64_t>(kMax));
  }

  constexpr std::int64_t nanodollars() const { return nano_; }
  double dollars() const { return static_cast<double>(nano_) / 1e9; }
  // Rounded to whole cents, half away from zero, as bills are.
  std::int64_t cents() const {
    constexpr std::int64_t kCent = 10'000'000;
    const std::int64_t half = nano_ < 0 ? -kCent / 2 : kCent / 2;
    return (nano_ + half) / kCent;
  }
  Money to_cents() const { return Money(cents() * 10'000'000); }
  // "$12.34"; below ten cents as many digits as show three that count: "$0.00123".
  std::string text() const;

  constexpr Money& operator+=(Money other) {
    nano_ += other.nano_;
    return *this;
  }
  friend constexpr Money operator+(Money a, Money b) { return a += b; }
  friend constexpr auto operator<=>(Money, Money) = default;

 private:
  explicit constexpr Money(std::int64_t nano) : nano_(nano) {}
  std::int64_t nano_ = 0;
};

}  // namespace thaw::cost
