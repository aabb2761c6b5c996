// Many simulated invocations over several seeds: pool_soak [INVOCATIONS] [SEEDS].
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "world.h"

int main(int count, char** words) {
  using namespace thaw::warmpool;
  const std::uint64_t invocations = count > 1 ? std::strtoull(words[1], nullptr, 10) : 10'000'000;
  const std::uint64_t seeds = count > 2 ? std::strtoull(words[2], nullptr, 10) : 10;
  const auto begun = std::chrono::steady_clock::now();
  WorldCounts all;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    World world({.seed = seed,
                 .invocations = invocations / seeds,
                 .functions_max = 40,
                 .instances_max = 200});
    if (const auto broken = world.run()) {
      std::printf("%s\n", broken->c_str());
      return 1;
    }
    const WorldCounts& counts = world.counts();
    std::printf(
        "seed %llu: %llu invocations, %llu leased, %llu refused; %llu starts, %llu failed, "
        "%llu crashes, %llu evictions, %llu prewarmed\n",
        static_cast<unsigned long long>(seed), static_cast<unsigned long long>(counts.asked),
        static_cast<unsigned long long>(counts.leased),
        static_cast<unsigned long long>(counts.refused),
        static_cast<unsigned long long>(counts.started),
        static_cast<unsigned long long>(counts.failed_starts),
        static_cast<unsigned long long>(counts.crashed),
        static_cast<unsigned long long>(counts.evicted),
        static_cast<unsigned long long>(counts.prewarmed));
    all.asked += counts.asked;
    all.events += counts.events;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf("%llu invocations, %llu events, every invariant held: %.1f s\n",
              static_cast<unsigned long long>(all.asked),
              static_cast<unsigned long long>(all.events), seconds);
  return 0;
}
