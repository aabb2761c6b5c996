#include <algorithm>
#include <iterator>

#include "snapshot/gguf/gguf.h"

namespace thaw::gguf {
namespace {

constexpr TypeInfo kTypes[] = {
    {Type::kF32, "F32", 1, 4},
    {Type::kF16, "F16", 1, 2},
    {Type::kQ4_0, "Q4_0", 32, 18},
    {Type::kQ4_1, "Q4_1", 32, 20},
    {Type::kQ5_0, "Q5_0", 32, 22},
    {Type::kQ5_1, "Q5_1", 32, 24},
    {Type::kQ8_0, "Q8_0", 32, 34},
    {Type::kQ8_1, "Q8_1", 32, 36},
    {Type::kQ2_K, "Q2_K", 256, 84},
    {Type::kQ3_K, "Q3_K", 256, 110},
    {Type::kQ4_K, "Q4_K", 256, 144},
    {Type::kQ5_K, "Q5_K", 256, 176},
    {Type::kQ6_K, "Q6_K", 256, 210},
    {Type::kQ8_K, "Q8_K", 256, 292},
    {Type::kIq2Xxs, "IQ2_XXS", 256, 66},
    {Type::kIq2Xs, "IQ2_XS", 256, 74},
    {Type::kIq3Xxs, "IQ3_XXS", 256, 98},
    {Type::kIq1S, "IQ1_S", 256, 50},
    {Type::kIq4Nl, "IQ4_NL", 32, 18},
    {Type::kIq3S, "IQ3_S", 256, 110},
    {Type::kIq2S, "IQ2_S", 256, 82},
    {Type::kIq4Xs, "IQ4_XS", 256, 136},
    {Type::kI8, "I8", 1, 1},
    {Type::kI16, "I16", 1, 2},
    {Type::kI32, "I32", 1, 4},
    {Type::kI64, "I64", 1, 8},
    {Type::kF64, "F64", 1, 8},
    {Type::kIq1M, "IQ1_M", 256, 56},
    {Type::kBf16, "BF16", 1, 2},
    {Type::kTq1_0, "TQ1_0", 256, 54},
    {Type::kTq2_0, "TQ2_0", 256, 66},
    {Type::kMxfp4, "MXFP4", 32, 17},
};

}  // namespace

const TypeInfo* find_type(std::uint32_t number) {
  const auto* const found = std::find_if(
      std::begin(kTypes), std::end(kTypes),
      [number](const TypeInfo& info) { return static_cast<std::uint32_t>(info.type) == number; });
  return found == std::end(kTypes) ? nullptr : found;
}

}  // namespace thaw::gguf
