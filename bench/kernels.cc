// The kernels of every set this machine has, one function at a time and on one thread.
//   bench_kernels --benchmark_filter=avx2/matmul
// Weights are larger than the caches where a size says "memory", so that a single token's product
// shows read bandwidth (bytes_per_second); with many tokens it shows integer work (ops, two for a
// multiplication and its addition).
#include <benchmark/benchmark.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"

namespace thaw::kernels {
namespace {

struct Free {
  void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{64}); }
};
using Memory = std::unique_ptr<std::byte, Free>;

Memory allocate(std::size_t bytes) {
  return Memory(static_cast<std::byte*>(::operator new (bytes + 64, std::align_val_t{64})));
}

struct Size {
  const char* name;
  std::uint32_t rows;
  std::uint32_t cols;
  std::size_t tokens;
};

constexpr Size kSizes[] = {
    {"smoke", 32, 256, 5},
    {"memory/tokens:1", 16384, 2048, 1},
    {"memory/tokens:4", 16384, 2048, 4},
    {"cache/tokens:64", 1024, 2048, 64},
    {"cache/tokens:256", 1024, 2048, 256},
};

// A matrix whose panels all hold the same random rows: what it computes does not matter here.
Memory make_panels(Kind kind, const Size& size, Random& random) {
  std::vector<float> row(size.cols);
  std::vector<std::byte> rows;
  for (std::size_t r = 0; r < kPanelRows; ++r) {
    for (float& v : row) v = 0.02f * random.normal();
    std::vector<std::byte> coded(*rows_bytes(kind, 1, size.cols));
    quantise_row(kind, row, coded);
    rows.insert(rows.end(), coded.begin(), coded.end());
  }
  const std::size_t panel = *panels_bytes(kind, kPanelRows, size.cols);
  Memory panels = allocate(*panels_bytes(kind, size.rows, size.cols));
  for (std::size_t p = 0; p < size.rows / kPanelRows; ++p) {
    pack_panel(kind, rows, kPanelRows, size.cols, {panels.get() + p * panel, panel});
  }
  return panels;
}

void matmul(benchmark::State& state, const KernelSet& set, Kind kind, const Size& size) {
  Random random(1);
  const Memory panels = make_panels(kind, size, random);
  const Matrix w = {kind, size.rows, size.cols, panels.get()};
  const std::vector<float> x = random.floats(size.tokens * size.cols);
  Activations in = {x.data(), size.cols, size.tokens, size.cols};
  const Memory packed = allocate(set.packed_bytes(size.tokens, size.cols, in.refined));
  const std::size_t block = set.token_block(size.tokens);
  const std::size_t blocks = (size.tokens + block - 1) / block;
  if (!info(kind).is_float) {
    set.pack(in, 0, blocks, packed.get());
    in.packed = packed.get();
  }
  const Memory scratch = allocate(set.scratch_bytes(kind, size.cols, size.tokens));
  std::vector<float> y(size.tokens * size.rows);
  for (auto _ : state) {
    set.matmul(w, 0, w.panel_count(), in, y.data(), size.rows, scratch.get());
    benchmark::ClobberMemory();
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(*panels_bytes(kind, size.rows, size.cols)));
  state.counters["ops"] =
      benchmark::Counter(2.0 * size.rows * size.cols * static_cast<double>(size.tokens) * rounds,
                         benchmark::Counter::kIsRate);
}

void pack(benchmark::State& state, const KernelSet& set, const Size& size) {
  Random random(2);
  const std::vector<float> x = random.floats(size.tokens * size.cols);
  const Activations in = {x.data(), size.cols, size.tokens, size.cols};
  const Memory packed = allocate(set.packed_bytes(size.tokens, size.cols, in.refined));
  const std::size_t block = set.token_block(size.tokens);
  const std::size_t blocks = (size.tokens + block - 1) / block;
  for (auto _ : state) {
    set.pack(in, 0, blocks, packed.get());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(x.size()));
}

// `heads` queries of one token over `context` positions of one kv head of 64 channels.
void attend(benchmark::State& state, const KernelSet& set, std::uint32_t context,
            std::uint32_t heads) {
  Random random(3);
  const KvShape shape = {1, 64, 64};
  std::vector<Memory> blocks;
  std::vector<const std::byte*> pointers;
  for (std::uint32_t j = 0; j < context; ++j) {
    if (j % kKvBlockPositions == 0) blocks.push_back(allocate(shape.block_bytes()));
    const std::vector<float> kv = random.floats(128);
    set.store_kv(shape, kv.data(), kv.data() + 64, j, blocks.back().get());
  }
  for (const Memory& block : blocks) pointers.push_back(block.get());
  const std::vector<float> q = random.floats(std::size_t{heads} * 64);
  const Queries queries = {q.data(), q.size(), 1, heads, 0, context - 1, 0.125f, pointers.data()};
  const std::size_t split_floats = queries.count() * partial_floats(shape);
  std::vector<float> partials(queries.splits() * split_floats);
  std::vector<float> y(q.size());
  const Memory scratch = allocate(set.attend_scratch_bytes(shape, queries.count()));
  for (auto _ : state) {
    for (std::uint32_t s = 0; s < queries.splits(); ++s) {
      set.attend_split(shape, queries, s, &partials[s * split_floats], scratch.get());
    }
    set.attend_merge(shape, queries, partials.data(), y.data(), y.size());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * context * heads);
}

void vectors(benchmark::State& state, const KernelSet& set, std::size_t count, bool silu) {
  Random random(4);
  const std::vector<float> x = random.floats(count);
  const std::vector<float> w = random.floats(count);
  std::vector<float> y(count);
  for (auto _ : state) {
    if (silu) {
      set.silu_mul(x.data(), w.data(), y.data(), count);
    } else {
      set.rms_norm(x.data(), w.data(), 1e-5f, count, y.data());
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
}

void register_set(const KernelSet& set) {
  const std::string name(set.name);
  for (const Size& size : kSizes) {
    for (const KindInfo& kind : kinds()) {
      benchmark::RegisterBenchmark(
          (name + "/matmul/" + std::string(kind.name) + "/" + size.name).c_str(),
          [&set, kind, size](benchmark::State& state) { matmul(state, set, kind.kind, size); });
    }
    benchmark::RegisterBenchmark((name + "/pack/" + size.name).c_str(),
                                 [&set, size](benchmark::State& state) { pack(state, set, size); });
  }
  for (const std::uint32_t context : {20u, 1000u}) {
    const std::string size = context == 20 ? "smoke" : "context:1000";
    for (const std::uint32_t heads : {1u, 4u}) {
      benchmark::RegisterBenchmark(
          (name + "/attend/heads:" + std::to_string(heads) + "/" + size).c_str(),
          [&set, context, heads](benchmark::State& state) { attend(state, set, context, heads); });
    }
  }
  for (const std::size_t count : {std::size_t{100}, std::size_t{4096}}) {
    const std::string size = count == 100 ? "smoke" : "4096";
    benchmark::RegisterBenchmark(
        (name + "/rms_norm/" + size).c_str(),
        [&set, count](benchmark::State& state) { vectors(state, set, count, false); });
    benchmark::RegisterBenchmark(
        (name + "/silu_mul/" + size).c_str(),
        [&set, count](benchmark::State& state) { vectors(state, set, count, true); });
  }
}

}  // namespace
}  // namespace thaw::kernels

int main(int argc, char** argv) {
  for (const thaw::kernels::KernelSet* set : thaw::kernels::available()) {
    thaw::kernels::register_set(*set);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
