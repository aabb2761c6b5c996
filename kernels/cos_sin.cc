#include <cmath>

#include "kernels/kernels.h"

namespace thaw::kernels {

void cos_sin(std::span<const std::uint32_t> phases, float* cosine, float* sine) {
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const std::uint32_t quarter = (phases[i] + (1u << 29)) >> 30;
    const auto rest = static_cast<std::int32_t>(phases[i] - (quarter << 30));
    const auto z = static_cast<float>(rest * 0x1.921fb54442d18p-30);
    const float w = z * z;
    const float odd =
        std::fma(std::fma(-0x1.9943f2p-13f, w, 0x1.11073cp-7f), w, -0x1.555546p-3f) * w;
    const float s = std::fma(odd, z, z);
    const float even = std::fma(std::fma(0x1.99eb9cp-16f, w, -0x1.6c0c34p-10f), w, 0x1.55554ap-5f);
    const float c = std::fma(w * w, even, std::fma(w, -0.5f, 1.0f));
    const bool swapped = quarter % 2 != 0;
    const float x = swapped ? s : c;
    const float y = swapped ? c : s;
    cosine[i] = quarter == 1 || quarter == 2 ? -x : x;
    sine[i] = quarter == 2 || quarter == 3 ? -y : y;
  }
}

}  // namespace thaw::kernels
