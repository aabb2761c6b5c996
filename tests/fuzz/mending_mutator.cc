// libFuzzer's own mutations, after which the target may mend its checksums. Linked into every
// libFuzzer target; one without thaw_fuzz_mend() is mutated as if this were not here.
#include <cstddef>
#include <cstdint>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" __attribute__((weak)) void thaw_fuzz_mend(std::uint8_t* data, std::size_t size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned /*seed*/) {
  const std::size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (thaw_fuzz_mend != nullptr) thaw_fuzz_mend(data, mutated);
  return mutated;
}
