// The checks catch a set that is a little wrong: each test breaks one function in one way and
// expects the check of that function to see it. Without these, a check that compares nothing would
// pass for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "kernels/float16.h"
#include "kernels/scalar.h"

namespace thaw::kernels::test {
namespace {

const KernelSet& right() { return scalar_set(); }

KernelSet wrong() {
  KernelSet set = scalar_set();
  set.name = "wrong";
  return set;
}

float next_up(float x) { return std::nextafter(x, 1e30f); }

// How the scalar set packs a term; a group has two.
struct ScalarTerm {
  float s;
  float g;
  std::int8_t q[32];
};

template <class Change>
void change_terms(const Activations& in, std::byte* packed, Change change) {
  const std::size_t terms = 2 * in.tokens * (in.cols / kGroupCols);
  for (std::size_t i = 0; i < terms; ++i) {
    auto term = load<ScalarTerm>(packed + i * sizeof(ScalarTerm));
    change(term);
    store(packed + i * sizeof(ScalarTerm), term);
  }
}

TEST(Mutation, AScalarCopyPasses) {
  EXPECT_EQ(check_matmul_shapes(wrong(), Kind::kQ4m), "");
  EXPECT_EQ(check_attention_contexts(wrong()), "");
}

TEST(Mutation, OneLaneIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, begin, end, in, y, stride, scratch);
    for (std::size_t row = begin * 16 + 13; row < std::min<std::size_t>(end * 16, w.rows);
         row += 16) {
      y[row] = next_up(y[row]);
    }
  };
  for (const KindInfo& kind : kinds()) EXPECT_NE(check_matmul_shapes(set, kind.kind), "");
}

TEST(Mutation, ARowPastTheEndIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, begin, end, in, y, stride, scratch);
    if (w.rows % 16 == 0 || end != w.panel_count() || stride == w.rows) return;
    y[w.rows] = 0;
  };
  EXPECT_NE(check_matmul_shapes(set, Kind::kQ8), "");
}

TEST(Mutation, TheLastTokenOfABlockIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, begin, end, in, y, stride, scratch);
    if (in.tokens % 8 == 7) y[(in.tokens - 1) * stride] = 0;
  };
  EXPECT_NE(check_matmul_shapes(set, Kind::kQ4k), "");
}

// The trap of maddubs: a sum of two products that does not fit 16 bits. u = 255 stands for what an
// offset of 128 makes of the largest s8.
TEST(Mutation, ASaturatingDotProductIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, begin, end, in, y, stride, scratch);
    for (std::size_t t = 0; t < in.tokens; ++t) {
      const auto group = load<ScalarTerm>(in.packed + 2 * t * (in.cols / 32) * sizeof(ScalarTerm));
      for (std::size_t k = 0; k < 32; k += 2) {
        if (255 * (group.q[k] + group.q[k + 1]) > 32767) y[t * stride + begin * 16] *= 0.75f;
      }
    }
  };
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ8), "");
}

// What vpdpbusd asks for, an offset of 128 and its products taken back, done in too few bits.
TEST(Mutation, AnOffsetTakenBackIn16BitsIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, begin, end, in, y, stride, scratch);
    for (std::size_t t = 0; t < in.tokens; ++t) {
      const auto term = load<ScalarTerm>(in.packed + 2 * t * (in.cols / 32) * sizeof(ScalarTerm));
      int sum = 0;
      for (const std::int8_t q : term.q) sum += q;
      const int lost = 128 * sum - static_cast<std::int16_t>(128 * sum);
      for (std::size_t row = begin * 16; row < std::min<std::size_t>(end * 16, w.rows); ++row) {
        y[t * stride + row] += static_cast<float>(lost) * term.s;
      }
    }
  };
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ8), "");
  EXPECT_NE(check_matmul_shapes(set, Kind::kQ8), "");
}

TEST(Mutation, RoundingHalfAwayIsCaught) {
  KernelSet set = wrong();
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    right().pack(in, begin, end, packed);
    for (std::size_t t = begin; t < std::min(end, in.tokens); ++t) {
      for (std::size_t k = 0; k < in.cols; ++k) {
        auto* group = packed + 2 * (t * (in.cols / 32) + k / 32) * sizeof(ScalarTerm);
        const float scaled = in.x[t * in.stride + k] * (1.0f / load<float>(group));
        if (std::fabs(scaled) <= 127) {
          group[8 + k % 32] = static_cast<std::byte>(static_cast<int>(std::round(scaled)));
        }
      }
    }
  };
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ4), "");
}

TEST(Mutation, AWrongScaleIsCaught) {
  KernelSet set = wrong();
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    right().pack(in, begin, end, packed);
    if (end < in.tokens) return;
    change_terms(in, packed, [](ScalarTerm& term) { term.s = next_up(term.s); });
  };
  EXPECT_NE(check_matmul_shapes(set, Kind::kQ6k), "");
}

TEST(Mutation, AWrongSumIsCaughtWhereThereIsAMinimumAndOnlyThere) {
  KernelSet set = wrong();
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    right().pack(in, begin, end, packed);
    if (end < in.tokens) return;
    change_terms(in, packed, [](ScalarTerm& term) { term.g = next_up(term.g); });
  };
  for (const Kind kind : {Kind::kQ4, Kind::kQ4m, Kind::kQ4k, Kind::kQ5k}) {
    EXPECT_NE(check_matmul_shapes(set, kind), "") << info(kind).name;
  }
  for (const Kind kind : {Kind::kQ8, Kind::kQ6k, Kind::kF16}) {
    EXPECT_EQ(check_matmul_shapes(set, kind), "") << info(kind).name;
  }
}

TEST(Mutation, AMissingOrMisplacedSecondTermIsCaught) {
  KernelSet set = wrong();
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    Activations fewer = in;
    if (in.refined != 0 && in.refined != kRefineAll) --fewer.refined;
    right().pack(fewer, begin, end, packed);
  };
  EXPECT_NE(check_matmul_shapes(set, Kind::kQ4m), "");
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ8), "");
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    Activations turned = in;  // of equally large groups the last ones in place of the first
    if (in.refined == 2) turned.refined = 3;
    right().pack(turned, begin, end, packed);
  };
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ4k), "");
}

TEST(Mutation, TinyGroupsThatAreNotZeroAreCaught) {
  KernelSet set = wrong();
  set.pack = [](const Activations& in, std::size_t begin, std::size_t end, std::byte* packed) {
    right().pack(in, begin, end, packed);
    if (end < in.tokens) return;
    change_terms(in, packed, [](ScalarTerm& term) {
      if (term.s == 0) term.s = term.g = 0x1p-120f;
    });
  };
  EXPECT_NE(check_matmul_patterns(set, Kind::kQ4), "");
}

TEST(Mutation, APieceThatDependsOnTheWholeIsCaught) {
  KernelSet set = wrong();
  set.matmul = [](const Matrix& w, std::size_t begin, std::size_t end, const Activations& in,
                  float* y, std::size_t stride, std::byte* scratch) {
    right().matmul(w, 0, end, in, y, stride, scratch);
    if (begin > 0) y[0] = 1;
  };
  EXPECT_NE(check_matmul_splits(set, Kind::kQ8), "");
}

TEST(Mutation, OneOrderOfSumsForAnotherIsCaught) {
  KernelSet set = wrong();
  set.rms_norm = [](const float* x, const float* weight, float epsilon, std::size_t dim, float* y) {
    float sum = 0;  // one sum in place of sixteen
    for (std::size_t i = 0; i < dim; ++i) sum = std::fma(x[i], x[i], sum);
    const float r = 1 / std::sqrt(sum / static_cast<float>(dim) + epsilon);
    for (std::size_t i = 0; i < dim; ++i) y[i] = (x[i] * r) * weight[i];
  };
  EXPECT_NE(check_rms_norm(set), "");
  set.rms_norm = [](const float* x, const float* weight, float epsilon, std::size_t dim, float* y) {
    right().rms_norm(x, weight, epsilon, dim, y);
    for (std::size_t i = 0; i < dim; ++i) {
      if (dim == 47 && i == 46) y[i] = next_up(y[i]);  // the last lane of a ragged end
    }
  };
  EXPECT_NE(check_rms_norm(set), "");
}

TEST(Mutation, WrongVectorFunctionsAreCaught) {
  KernelSet set = wrong();
  set.add = [](float* x, const float* y, std::size_t count) { right().add(x, y, count & ~7ul); };
  EXPECT_NE(check_add(set), "");
  set.silu_mul = [](const float* gate, const float* up, float* y, std::size_t count) {
    std::vector<float> e(count);
    for (std::size_t i = 0; i < count; ++i) e[i] = -gate[i];
    right().exp(e.data(), e.data(), count);
    for (std::size_t i = 0; i < count; ++i) y[i] = (gate[i] * up[i]) / (1 + e[i]);
  };
  EXPECT_NE(check_silu_mul(set), "");
  set.exp = [](const float* x, float* y, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) y[i] = std::exp(x[i]);
  };
  EXPECT_NE(check_exp(set), "");
  set.rope = [](float* x, const float* cosine, const float* sine, std::size_t pairs, bool) {
    right().rope(x, cosine, sine, pairs, false);
  };
  EXPECT_NE(check_rope(set), "");
  set.argmax = [](const float* x, std::size_t count) {
    return static_cast<std::size_t>(
        std::max_element(x, x + count, [](float a, float b) { return a <= b; }) - x);
  };
  EXPECT_NE(check_argmax(set), "");
}

TEST(Mutation, ExpThatFlushesDenormalsIsCaught) {
  KernelSet set = wrong();
  set.exp = [](const float* x, float* y, std::size_t count) {
    right().exp(x, y, count);
    for (std::size_t i = 0; i < count; ++i) {
      if (y[i] < 0x1p-126f) y[i] = 0;
    }
  };
  EXPECT_NE(check_exp(set), "");
}

TEST(Mutation, WrongStoringIsCaught) {
  KernelSet set = wrong();
  set.store_kv = [](const KvShape& shape, const float* keys, const float* values,
                    std::uint32_t position, std::byte* block) {
    right().store_kv(shape, keys, values, position, block);
    for (std::size_t i = 0; i < shape.block_bytes(); i += 2) {
      const auto half = load<std::uint16_t>(block + i);
      if ((half & 0x7fff) == 0x7bff) store(block + i, static_cast<std::uint16_t>(half + 1));
    }  // what was clamped is infinite
  };
  EXPECT_NE(check_store_kv(set), "");
  set.store_kv = [](const KvShape& shape, const float* keys, const float* values,
                    std::uint32_t position, std::byte* block) {
    right().store_kv(shape, keys, values, position, block);
    for (std::size_t c = shape.value_dim; c < shape.value_stride(); ++c) {
      store(block + shape.key_bytes() + 2 * (position % 64 * shape.value_stride() + c),
            std::uint16_t{1});
    }
  };
  EXPECT_NE(check_store_kv(set), "");
}

TEST(Mutation, AttentionWithoutItsMaskIsCaught) {
  KernelSet set = wrong();
  set.attend_split = [](const KvShape& shape, const Queries& queries, std::uint32_t split,
                        float* partials, std::byte* scratch) {
    Queries last = queries;  // every token attends to what the last one does
    last.tokens = 1;
    last.first_position += queries.tokens - 1;
    for (std::uint32_t t = 0; t < queries.tokens; ++t) {
      right().attend_split(shape, last, split, partials, scratch);
      last.q += queries.stride;
      partials += last.count() * partial_floats(shape);
    }
  };
  EXPECT_NE(check_attention_contexts(set), "");
  EXPECT_NE(check_attention_chunks(set), "");
}

TEST(Mutation, AnotherOrderOfMergingIsCaught) {
  KernelSet set = wrong();
  set.attend_merge = [](const KvShape& shape, const Queries& queries, const float* partials,
                        float* y, std::size_t stride) {
    const std::size_t floats = queries.count() * partial_floats(shape);
    std::vector<float> turned(partials, partials + queries.splits() * floats);
    if (queries.tokens == 1) {
      for (std::size_t s = 0; s < queries.splits(); ++s) {
        std::copy_n(partials + (queries.splits() - 1 - s) * floats, floats,
                    turned.begin() + s * floats);
      }
    }
    right().attend_merge(shape, queries, turned.data(), y, stride);
  };
  EXPECT_NE(check_attention_contexts(set), "");
}

TEST(Mutation, AWrongHeadIsCaught) {
  KernelSet set = wrong();
  set.attend_split = [](const KvShape& shape, const Queries& queries, std::uint32_t split,
                        float* partials, std::byte* scratch) {
    Queries other = queries;
    other.kv_head = 0;
    right().attend_split(shape, other, split, partials, scratch);
  };
  EXPECT_NE(check_attention_dims(set), "");
}

TEST(Mutation, AttentionThatHidesNanIsCaught) {
  KernelSet set = wrong();
  set.attend_merge = [](const KvShape& shape, const Queries& queries, const float* partials,
                        float* y, std::size_t stride) {
    right().attend_merge(shape, queries, partials, y, stride);
    for (std::size_t c = 0; c < shape.value_dim; ++c) {
      if (std::isnan(y[c])) y[c] = 0;
    }
  };
  EXPECT_NE(check_attention_extremes(set), "");
}

}  // namespace
}  // namespace thaw::kernels::test
