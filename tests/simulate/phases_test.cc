#include "runtime/simulate/phases.h"

#include <gtest/gtest.h>

namespace thaw::simulate {
namespace {

using namespace std::chrono_literals;

TEST(Phases, AddUp) {
  const Phases phases{10ms, 1ms, 1000, 100, 1};
  EXPECT_EQ(phases.to_first_token(50), 51ms);
  EXPECT_EQ(phases.to_end(50, 1), 51ms);
  EXPECT_EQ(phases.to_end(50, 11), 151ms);
  EXPECT_EQ(phases.to_end(0, 0), 1ms);
}

TEST(Phases, SlowDownWithFewerProcessorsAndStayWithMore) {
  const Phases half = Phases{10ms, 1ms, 1000, 100, 2}.on(1);
  EXPECT_EQ(half.start, 20ms);
  EXPECT_EQ(half.overhead, 2ms);
  EXPECT_DOUBLE_EQ(half.prefill_tokens_per_s, 500);
  EXPECT_DOUBLE_EQ(half.decode_tokens_per_s, 50);
  EXPECT_EQ(half.vcpus, 1);
  const Phases same = Phases{10ms, 1ms, 1000, 100, 2}.on(6);
  EXPECT_EQ(same.start, 10ms);
  EXPECT_DOUBLE_EQ(same.decode_tokens_per_s, 100);
}

TEST(Phases, AreReadFromWhatIsPrinted) {
  const auto bench = read_phases(
      R"({"kernels":"avx2","threads":2,"prefill_tokens_per_s":900.5,"decode_tokens_per_s":120})",
      "bench.json", {});
  ASSERT_TRUE(bench) << bench.error().message;
  EXPECT_DOUBLE_EQ(bench->prefill_tokens_per_s, 900.5);
  EXPECT_DOUBLE_EQ(bench->vcpus, 2);
  EXPECT_EQ(bench->overhead, Phases().overhead);
  const auto run = read_phases(
      R"({"usage":{"prompt_tokens":40,"cached_tokens":30,"completion_tokens":9},
          "timings":{"open_ms":2.5,"prefill_ms":20,"decode_tokens_per_s":80}})",
      "run.json", *bench);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_DOUBLE_EQ(run->prefill_tokens_per_s, 500);
  EXPECT_DOUBLE_EQ(run->decode_tokens_per_s, 80);
  EXPECT_EQ(run->start, 2500us);
  const auto own = read_phases(R"({"start_ms":7,"overhead_ms":0.5,"vcpus":1.7})", "own", *run);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->start, 7ms);
  EXPECT_EQ(own->overhead, 500us);
  EXPECT_DOUBLE_EQ(own->vcpus, 1.7);
  EXPECT_DOUBLE_EQ(own->decode_tokens_per_s, 80);
}

TEST(Phases, RefuseWhatMakesNoSense) {
  const auto message = [](std::string_view text) {
    const auto read = read_phases(text, "p", {});
    return read ? std::string("read") : read.error().message;
  };
  EXPECT_EQ(message("[]").substr(0, 32), "phases 'p': found no JSON object");
  EXPECT_EQ(message("{").substr(0, 32), "phases 'p': found no JSON object");
  EXPECT_EQ(message("{\"speed\":1}").substr(0, 31), "phases 'p': found nothing known");
  EXPECT_EQ(message("{\"decode_tokens_per_s\":0}"),
            "phases 'p': phases: decode_tokens_per_s 0, want more than 0, at most 1e9");
  EXPECT_EQ(message("{\"prefill_tokens_per_s\":-5}").substr(0, 40),
            "phases 'p': phases: prefill_tokens_per_s");
  EXPECT_EQ(message("{\"vcpus\":0}").substr(0, 26), "phases 'p': phases: vcpus ");
  EXPECT_EQ(message("{\"start_ms\":-1}").substr(0, 26), "phases 'p': phases: start ");
  EXPECT_EQ(message("{\"overhead_ms\":1e300}").substr(0, 28), "phases 'p': phases: overhead");
}

}  // namespace
}  // namespace thaw::simulate
