// Which sets this machine can run, and which of them to use.
#include <array>
#include <string>

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "kernels/sets.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace thaw::kernels {
namespace {

constexpr std::size_t kSetCountMax = 4;

struct Available {
  std::array<const KernelSet*, kSetCountMax> sets{};
  std::size_t count = 0;

  void add(const KernelSet& set) { sets[count++] = &set; }
};

#if defined(__x86_64__)

// clang 14 has no builtin for it. CPUID leaf 1, ECX bit 29 (Intel SDM volume 2A); it lives in the
// registers that AVX2 asks the operating system for.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 29)) != 0;
}

// The compiler's builtins ask the operating system too: registers that it does not save are as good
// as absent.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

// No builtin of clang 14's either. CPUID leaf 7, subleaf 1, EAX bit 4 (Intel SDM volume 2A);
// subleaf 0 has the number of the last one in EAX. It lives in AVX2's registers.
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || eax < 1) return false;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

void add_vector_sets(Available& found) {
  if (has_avx512()) found.add(avx512_set());
  if (has_avx2() && has_avx_vnni()) found.add(avx2_vnni_set());
  if (has_avx2()) found.add(avx2_set());
}

#elif defined(__aarch64__)

// Bits of the kernel's auxiliary vector (arch/arm64/include/uapi/asm/hwcap.h).
constexpr unsigned long kHwcapDotProduct = 1ul << 20;   // HWCAP_ASIMDDP
constexpr unsigned long kHwcap2Int8Matrix = 1ul << 13;  // HWCAP2_I8MM

void add_vector_sets(Available& found) {
  const bool dot_product = (getauxval(AT_HWCAP) & kHwcapDotProduct) != 0;
  const bool int8_matrix = (getauxval(AT_HWCAP2) & kHwcap2Int8Matrix) != 0;
  if (dot_product && int8_matrix) found.add(neon_i8mm_set());
  if (dot_product) found.add(neon_set());
}

#else

void add_vector_sets(Available&) {}

#endif

Available find_available() {
  Available found;
  add_vector_sets(found);
  found.add(scalar_set());
  return found;
}

}  // namespace

std::span<const KernelSet* const> available() {
  static const Available found = find_available();
  return {found.sets.data(), found.count};
}

Result<const KernelSet*> select(std::string_view name) {
  const std::span<const KernelSet* const> sets = available();
  if (name.empty()) return sets.front();
  std::string names;
  for (const KernelSet* set : sets) {
    if (set->name == name) return set;
    if (!names.empty()) names += ", ";
    names += set->name;
  }
  return fail(Code::kUnsupported,
              "kernels '" + std::string(name) + "': not on this machine; it has " + names);
}

}  // namespace thaw::kernels
