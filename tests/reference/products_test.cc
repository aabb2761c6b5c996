#include "handler/reference/products.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/random.h"

namespace thaw::reference {
namespace {

constexpr std::size_t kRows = 24, kCols = 40, kDepth = 64;

// Whole numbers, so that every order of summing gives the same.
std::vector<float> whole_numbers(std::size_t count, Random& random) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(random.below(31)) - 15;
  return numbers;
}

struct Example {
  std::vector<float> a, b, expected;

  explicit Example(std::uint64_t seed) {
    Random random(seed);
    a = whole_numbers(kRows * kDepth, random);
    b = whole_numbers(kCols * kDepth, random);
    for (std::size_t r = 0; r < kRows; ++r) {
      for (std::size_t c = 0; c < kCols; ++c) {
        float sum = 0;
        for (std::size_t d = 0; d < kDepth; ++d) sum += a[r * kDepth + d] * b[c * kDepth + d];
        expected.push_back(sum);
      }
    }
  }

  bool holds() const {
    std::vector<float> c(kRows * kCols, -1.0f);
    Product product = {.rows = kRows, .cols = kCols, .depth = kDepth};
    product.a = a.data();
    product.a_stride = kDepth;
    product.b = b.data();
    product.b_stride = kDepth;
    product.b_is_transposed = true;
    product.c = c.data();
    product.c_stride = kCols;
    multiply(product);
    return c == expected;
  }
};

// An OpenBLAS built without threads gives two at once the same buffer now and then, unless each
// waits for the other.
TEST(Products, ManyThreadsAtOnceEachGetTheirOwn) {
  ASSERT_TRUE(prepare_products());
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    threads.emplace_back([&wrong, seed] {
      const Example example(seed);
      for (int i = 0; i < 50000; ++i) wrong += !example.holds();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace thaw::reference
