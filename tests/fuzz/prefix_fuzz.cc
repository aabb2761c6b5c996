// Fuzzes the reader of prefixes: whatever the sections hold, what it lends out lies in the file,
// and a session can begin with any part of it.
#include "base/check.h"
#include "handler/model/kv_cache.h"
#include "handler/model/prefix.h"
#include "snapshot/reader.h"
#include "tests/snapshot/memory_files.h"
#include "tests/snapshot/mend.h"

extern "C" void thaw_fuzz_mend(std::uint8_t* data, std::size_t size) {
  thaw::snapshot::mend(std::as_writable_bytes(std::span(data, size)));
}

namespace thaw::model {
namespace {

// The model that the corpus's prefixes are of: one layer, two heads of 4.
Plan small_plan() {
  Plan plan;
  plan.config.layers = 1;
  plan.config.heads = 2;
  plan.config.kv_heads = 2;
  plan.config.head_dim = 4;
  plan.config.value_dim = 4;
  plan.config.context_tokens = 256;
  return plan;
}

void use(const Prefixes& prefixes, const Plan& plan) {
  KvPool pool(plan.kv_block_bytes(), std::size_t{16} << 20);
  for (const Prefix& prefix : prefixes.all()) {
    THAW_CHECK(!prefix.tokens.empty() && prefix.tokens.size() <= plan.config.context_tokens);
    THAW_CHECK(prefix.kv.positions == prefix.tokens.size());
    const auto match = prefixes.longest(prefix.tokens);
    THAW_CHECK(match.tokens == prefix.tokens.size());
    Session session(pool, plan.kv_shape(), plan.config.layers);
    session.restore(prefix.kv, prefix.kv.positions);
    unsigned sum = 0;  // every byte of every block is read
    for (std::uint32_t block = 0; block * 64 < prefix.kv.positions; ++block) {
      const std::byte* bytes = session.table(0)[block];
      for (std::size_t i = 0; i < plan.kv_block_bytes(); ++i)
        sum += std::to_integer<unsigned>(bytes[i]);
    }
    THAW_CHECK(session.reserve(1 + sum % 64).has_value());
    session.truncate(prefix.kv.positions / 2);
    THAW_CHECK(session.reserve(100).has_value());
  }
  THAW_CHECK(pool.lent_bytes() == 0);
}

}  // namespace
}  // namespace thaw::model

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thaw;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  MemoryFiles files;
  files.files["s"] = Blob(bytes.begin(), bytes.end());
  const auto reader = snapshot::Reader::open(files, "s");
  if (!reader) return 0;
  const model::Plan plan = model::small_plan();
  const auto prefixes = model::Prefixes::open(**reader, plan);
  if (prefixes) model::use(*prefixes, plan);
  return 0;
}
