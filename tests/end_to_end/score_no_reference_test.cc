// `thaw score --reference` of a build without OpenBLAS.

#include <gtest/gtest.h>

#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

TEST(ScoreReference, IsRefusedWhereItIsNotBuiltIn) {
  const Finished run = run_thaw({"score", snapshot_of(tiny_model()), "--text",
                                 THAW_SOURCE_DIR "/tests/end_to_end/programs.h", "--reference"});
  EXPECT_EQ(run.code, 1);
  EXPECT_TRUE(run.out.empty()) << run.out;
  EXPECT_NE(run.err.find("OpenBLAS"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace thaw::end_to_end
