// The scalar set's keys, values and attention, and the functions of scalar.cc that they need. For
// the scalar set alone.
#pragma once

#include "kernels/kernels.h"

namespace thaw::kernels::scalar {

float exp_of(float x);
float tree(const float (&p)[16]);

void store_kv(const KvShape& shape, const float* keys, const float* values, std::uint32_t position,
              std::byte* block);
void attend_split(const KvShape& shape, const Queries& queries, std::uint32_t split,
                  float* partials, std::byte* scratch);
std::size_t attend_scratch_bytes(const KvShape& shape, std::size_t queries);
void attend_merge(const KvShape& shape, const Queries& queries, const float* partials, float* y,
                  std::size_t y_stride);

}  // namespace thaw::kernels::scalar
